"""Stage 1: raw rows of a training split, as they are, at most `max_seeds` of them."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time
from typing import Any

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.examples import Seed, Source
from sdg_assets.sources import Row, SeedSource


def collect_seeds(
    spec: SubtaskSpec,
    source: SeedSource,
    max_seeds: int | None = None,
    *,
    count: Callable[[int], None] | None = None,
) -> Iterator[Seed]:
    """Reads the seed split of a subtask.

    The sample is deterministic and nested: rows are ranked by a hash of the subtask and their
    position, so a larger cap keeps every seed of a smaller one, and with it every completion.

    Args:
        spec: The subtask.
        source: Where to read.
        max_seeds: How many rows at the most; None for all.
        count: Told how many rows the split has, once it is read; see `shortfall`.

    Yields:
        Seeds in the order of the split.

    Raises:
        SeedSourceError: The split cannot be read.
    """
    revision = source.revision(spec)
    numbered = _counted(source.rows(spec, spec.split), count)
    if max_seeds is not None:
        ranked = heapq.nsmallest(max_seeds, numbered, key=lambda at: seed_rank(spec, at[0]))
        numbered = iter(sorted(ranked, key=lambda at: at[0]))
    for position, row in numbered:
        yield Seed(
            source=Source(
                dataset=spec.dataset,
                config=spec.config,
                split=spec.split,
                row=position,
                revision=revision,
                license=spec.license,
            ),
            row={column: _plain(value) for column, value in row.items()},
        )


def shortfall(spec: SubtaskSpec, found: int) -> str | None:
    """What to tell a person when a seed split has fewer rows than the catalog declares.

    Args:
        spec: The subtask.
        found: The rows that were read.
    """
    if spec.rows is None or found >= spec.rows:
        return None
    return f"{spec.where}: {found} rows found, {spec.rows} declared"


def _counted(rows: Iterable[Row], count: Callable[[int], None] | None) -> Iterator[tuple[int, Row]]:
    found = 0
    for row in rows:
        yield found, row
        found += 1
    if count:
        count(found)


def seed_rank(spec: SubtaskSpec, position: int) -> tuple[bool, bytes]:
    """Of a parallel task, the rows that this language seeds come first."""
    digest = hashlib.blake2b(f"{spec.key}:{position}".encode(), digest_size=8).digest()
    return spec.owner(position) != spec.key, digest


def _plain(value: Any) -> Any:  # noqa: ANN401 – a dataset's value
    """JSON's types. Binary columns (images, audio) are dropped: no stage asks about them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes | bytearray):
        return None
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return value
