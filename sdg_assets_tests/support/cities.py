"""A quiz about cities: rows of its dataset, and a teacher that writes and solves more rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sdg_assets.records import Role
from sdg_assets.teacher.requests import Request
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, ratings

Employ = Callable[[ScriptedTeacher], ScriptedTeacher]


def put_rows(mirror: Path, config: str, rows: list[dict[str, object]]) -> None:
    folder = mirror / "org" / "quiz" / config
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")


def numbered_cities(count: int) -> list[dict[str, object]]:
    return [
        {"question": f"Which city is number {n}?", "choices": ["Oslo", "Rome"], "label": n % 2}
        for n in range(count)
    ]


def write_and_solve(request: Request) -> str:
    """Writes questions about numbered cities whose answer is Oslo, and solves them correctly."""
    if request.role is Role.WRITER:
        question = f"Which city has the number {request.id}?"
        return json.dumps({"question": question, "answer": "Oslo", "wrong_answers": ["Rome"]})
    if request.role is Role.JUDGE:
        return ratings()
    if request.prompt_version.startswith("knowledge/"):
        return "Cities have numbers."
    return "I looked it up. Answer: Oslo"
