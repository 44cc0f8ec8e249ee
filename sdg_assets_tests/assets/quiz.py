"""A catalog of one task and a mirror with its rows."""

from __future__ import annotations

import json
from pathlib import Path

from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog


def quiz(place: Path, configure: Configure, *subtasks: str) -> Path:
    """Configures the catalog and the mirror; returns the mirror."""
    fields = {"subtasks": {key: {"config": key} for key in subtasks}}
    mirror = place / "mirror"
    for key in subtasks:
        put_rows(mirror, key)
    configure(catalog=write_catalog(place / "catalog", fields), seed_source=f"mirror:{mirror}")
    return mirror


def put_rows(mirror: Path, subtask: str, rows: int = 4) -> None:
    """Writes the rows of a subtask."""
    folder = mirror / "org" / "quiz" / subtask
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"question": f"Which city is {subtask} {n}?", "choices": ["Oslo", "Rome"], "label": n % 2}
        for n in range(rows)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines), "utf-8")
