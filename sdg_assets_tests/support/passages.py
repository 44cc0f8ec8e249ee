"""Passages for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sdg_assets.passages.index import PassageIndex, indexed
from sdg_assets.records import Passage

LOIRE = (
    "The Loire is the longest river of France. It rises in the Ardèche and reaches the Atlantic "
    "near Saint-Nazaire after 1,006 kilometers."
)
PARIS = (
    "Paris is the capital of France. The city lies on the Seine and has about two million "
    "inhabitants. Kings governed the country from there."
)


def passage(**changes: Any) -> Passage:
    """A passage about Paris, with the given fields changed."""
    fields = {
        "id": "paris",
        "title": "Paris",
        "text": PARIS,
        "license": "CC-BY-4.0",
        "source": "an atlas",
    }
    return Passage.model_validate({**fields, **changes})


TWO = (passage(), passage(id="loire", title="The Loire", text=LOIRE, license="CC-BY-SA-4.0"))


def index_of(passages: Sequence[Passage] = TWO) -> PassageIndex:
    """An index of passages that no store holds."""
    return PassageIndex(passages, indexed(passages), "v1")


def put_passages(folder: Path, *rows: dict[str, Any], name: str = "passages.jsonl") -> Path:
    """Writes rows to a file of a directory of passages; returns the directory."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / name).write_text("".join(lines), "utf-8")
    return folder


def raw(**changes: Any) -> dict[str, Any]:
    """A row of a file of passages, with fields changed."""
    fields = {
        "id": "p1",
        "title": "Paris",
        "text": PARIS,
        "licence": "CC-BY-4.0",
        "source": "an atlas",
    }
    return {**fields, **changes}
