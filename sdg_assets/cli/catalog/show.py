"""A task's first rows, raw beside normalized: what a person who adds a task must look at."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, zip_longest
from typing import Any

from sdg_assets.catalog.models import SubtaskSpec
from sdg_assets.mapping.mapper import mapper_of
from sdg_assets.records import Content, Seed, Stage
from sdg_assets.sources.source import SeedSource
from sdg_assets.stages.seeds import collect_seeds

LONGEST = 600


def show(spec: SubtaskSpec, source: SeedSource, rows: int = 3) -> Iterator[str]:
    """Renders the first rows of a subtask.

    Args:
        spec: The subtask.
        source: Where its rows are read.
        rows: How many.

    Yields:
        A block of text a row.

    Raises:
        SeedSourceError: The source does not have the seed split.
        MappingError: The mapping does not fit a row.
    """
    mapper = mapper_of(spec)
    yield f"{spec.where} from {source.name}"
    for seed in islice(collect_seeds(spec, source), rows):
        yield _beside(seed, islice(mapper(seed.row), 5))


def _beside(seed: Seed, examples: Iterable[Content]) -> str:
    width = (shutil.get_terminal_size((140, 24)).columns - 3) // 2
    left = [f"row {seed.source.row}", *_lines(seed.row, width)]
    right = [Stage.NORMALIZED.value]
    for example in examples:
        filled = {name: value for name, value in vars(example).items() if value not in ("", [])}
        right += _lines(filled, width)
    pairs = zip_longest(left, right, fillvalue="")
    return "\n".join(f"{raw:<{width}} │ {normalized}".rstrip() for raw, normalized in pairs)


def _lines(fields: Mapping[str, Any], width: int) -> list[str]:
    lines = []
    for name, value in fields.items():
        text = value if isinstance(value, str) else repr(value)
        text = text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"
        for paragraph in f"{name}: {text}".splitlines():
            lines += textwrap.wrap(paragraph, width, subsequent_indent="  ") or [""]
    return [*lines, ""]
