"""A small task for the eye: capitals, and a teacher that knows them."""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path
from typing import Any

from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.teacher_server import TeacherServer, is_vote

SEEDS = {
    "europe": {
        "Norway": "Oslo", "Italy": "Rome", "Spain": "Madrid", "Greece": "Athens",
        "Poland": "Warsaw", "Ireland": "Dublin", "Austria": "Vienna", "Finland": "Helsinki",
    },
    "asia": {
        "Japan": "Tokyo", "Nepal": "Kathmandu", "Vietnam": "Hanoi", "Jordan": "Amman",
        "Thailand": "Bangkok", "Bhutan": "Thimphu", "Oman": "Muscat", "Laos": "Vientiane",
    },
    "africa": {
        "Kenya": "Nairobi", "Ghana": "Accra", "Egypt": "Cairo", "Senegal": "Dakar",
        "Mali": "Bamako", "Uganda": "Kampala", "Angola": "Luanda", "Tunisia": "Tunis",
    },
}  # fmt: skip
NEW = {
    "Peru": "Lima", "Chile": "Santiago", "Cuba": "Havana", "Canada": "Ottawa",
    "Uruguay": "Montevideo", "Ecuador": "Quito", "Paraguay": "Asunción", "Colombia": "Bogotá",
    "Venezuela": "Caracas", "Jamaica": "Kingston", "Panama": "Panama City", "Fiji": "Suva",
    "Samoa": "Apia", "Tonga": "Nuku'alofa", "Iceland": "Reykjavík", "Latvia": "Riga",
    "Estonia": "Tallinn", "Lithuania": "Vilnius", "Malta": "Valletta", "Cyprus": "Nicosia",
    "Georgia": "Tbilisi", "Armenia": "Yerevan", "Mongolia": "Ulaanbaatar", "Qatar": "Doha",
}  # fmt: skip
WRONG = ["Geneva", "Sydney", "Lagos"]


class Geographer(TeacherServer):
    """Writes questions on capitals. Asked blind, it errs on two of them."""

    def __init__(self) -> None:
        super().__init__()
        self.model = "scripted/geographer"
        self._countries = cycle(NEW)

    def write(self, body: dict[str, Any]) -> dict[str, Any]:
        country = next(self._countries)
        question = f"Which city is the capital of {country}?"
        return {"question": question, "answer": NEW[country], "wrong_answers": WRONG}

    def speak(self, body: dict[str, Any]) -> str:
        text = body["messages"][-1]["content"]
        country = next((c for c in NEW if f"capital of {c}?" in text), "Peru")
        if not is_vote(body):
            return f"The seat of government of {country} is {NEW[country]}."
        answer = "Sydney" if country in ("Fiji", "Chile") else NEW[country]
        return f"The government of {country} sits in {answer}. Answer: {answer}"


def write_capitals(place: Path) -> None:
    """The task's catalog under `place/catalog`, its rows under `place/mirror`."""
    fields = {
        "task": "capitals",
        "domain": "geography",
        "dataset": "org/capitals",
        "frame": "Name the capital of a country.",
        "notes": "A made-up task of the tests.",
        "subtasks": {f"capitals_{part}": {"config": part, "rows": 8} for part in SEEDS},
    }
    write_catalog(place / "catalog", fields)
    for part, capitals in SEEDS.items():
        folder = place / "mirror" / "org" / "capitals" / part
        folder.mkdir(parents=True)
        lines = [
            {
                "question": f"Which city is the capital of {country}?",
                "choices": [capital, *WRONG],
                "label": 0,
            }
            for country, capital in capitals.items()
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "train.jsonl").write_text(text, "utf-8")
