"""Shows a task's first rows, raw beside normalized, for a person who adds a task."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

from sdg_assets.catalog.subtask_spec import SubtaskSpec
from sdg_assets.mapping.mapper import mapper_of
from sdg_assets.records import Content, Seed, Stage
from sdg_assets.sources.source import SeedSource
from sdg_assets.stages.seeds import collect_seeds

LONGEST = 600
"""Characters of a field after which its text is cut."""
EXAMPLES = 5
"""How many examples of one raw row are shown."""


@dataclass(frozen=True)
class MappedRow:
    """A raw row and the first examples that the task's mapping makes from it."""

    seed: Seed
    examples: list[Content]

    def as_json(self) -> dict[str, Any]:
        """The row's number, the raw row, and the examples without empty fields."""
        return {
            "row": self.seed.source.row,
            "raw": self.seed.row,
            Stage.NORMALIZED.value: [_filled(example) for example in self.examples],
        }


def show(spec: SubtaskSpec, source: SeedSource, rows: int = 3) -> Iterator[MappedRow]:
    """Maps the first rows of a subtask.

    Args:
        spec: The subtask.
        source: The source of its rows.
        rows: Number of rows.

    Raises:
        SeedSourceError: The source does not have the seed split.
        MappingError: The mapping does not fit a row.
    """
    mapper = mapper_of(spec)
    for seed in islice(collect_seeds(spec, source), rows):
        yield MappedRow(seed, list(islice(mapper(seed.row), EXAMPLES)))


def beside(row: MappedRow, width: int, line: str) -> str:
    """A raw row and its examples as two columns of text.

    Args:
        row: The row with its examples.
        width: The width of both columns together, in characters.
        line: The separator between the columns.
    """
    half = (width - 3) // 2
    left = [f"row {row.seed.source.row}", *_lines(row.seed.row, half)]
    right = [Stage.NORMALIZED.value]
    for example in row.examples:
        right += _lines(_filled(example), half)
    pairs = zip_longest(left, right, fillvalue="")
    return "\n".join(f"{raw:<{half}} {line} {normalized}".rstrip() for raw, normalized in pairs)


def _filled(example: Content) -> dict[str, Any]:
    return {name: value for name, value in vars(example).items() if value not in ("", [])}


def _lines(fields: Mapping[str, Any], width: int) -> list[str]:
    lines = []
    for name, value in fields.items():
        text = value if isinstance(value, str) else repr(value)
        text = text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
        for paragraph in f"{name}: {text}".splitlines():
            lines += textwrap.wrap(paragraph, width, subsequent_indent="  ") or [""]
    return [*lines, ""]
