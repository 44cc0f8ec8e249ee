"""Stage 1: raw rows of a training split, as they are, at most `max_seeds` of them.

A row that the record's `where` leaves out is no seed: it belongs to another subtask (a subject of a
table of many), or to none. So it does not count for `max_seeds` either, and is not stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from heapq import heappush, heapreplace
from operator import itemgetter
from typing import Any
from uuid import UUID

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.mapping.record import RowMapping
from sdg_assets.records import Seed, Source
from sdg_assets.sources.source import Row, SeedSource


def collect_seeds(
    spec: SubtaskSpec,
    source: SeedSource,
    max_seeds: int | None = None,
    *,
    count: Callable[[int], None] | None = None,
) -> Iterator[Seed]:
    """Reads the seed split of a subtask.

    The sample is deterministic and nested: rows are ranked by a hash of the subtask and their
    position, so a larger cap keeps every seed of a smaller one, and with it every completion. Of
    each row only `where` is evaluated, and under a cap only of rows that rank high enough.

    Args:
        spec: The subtask.
        source: Where to read.
        max_seeds: How many rows that `where` keeps, at the most; None for all of them.
        count: Told how many rows the split has, once it is read; see `shortfall`.

    Yields:
        Seeds in the order of the split.

    Raises:
        SeedSourceError: The split cannot be read.
        CatalogError: `where` is not valid Jinja.
    """
    revision, keeps = source.revision(spec), _kept(spec)
    numbered = _counted(source.rows(spec, spec.split), count)
    seeds = (
        ((position, row) for position, row in numbered if keeps(row))
        if max_seeds is None
        else _sampled(spec, numbered, max_seeds, keeps)
    )
    for position, row in seeds:
        yield Seed(
            source=Source(
                dataset=spec.dataset,
                config=spec.config,
                split=spec.split,
                row=position,
                revision=revision,
                license=spec.license,
            ),
            row=_plain(row),
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


def _kept(spec: SubtaskSpec) -> Callable[[Row], bool]:
    """Tells of a raw row whether `where` keeps it, as it will of the stored one."""
    if spec.record is None or spec.record.where is None:
        return lambda _row: True
    mapping = RowMapping(spec.record, spec.answer_kind, f"{spec.task}/{spec.key}")
    return lambda row: mapping.keeps(_plain(row))


def _sampled(
    spec: SubtaskSpec,
    numbered: Iterable[tuple[int, Row]],
    size: int,
    keeps: Callable[[Row], bool],
) -> list[tuple[int, Row]]:
    """The `size` kept rows that rank first, in the order of the split."""
    last_first: list[tuple[int, int, Row]] = []  # a heap: its first entry is the one to go next
    for position, row in numbered:
        elsewhere, digest = seed_rank(spec, position)
        key = -((elsewhere << 64) + int.from_bytes(digest))
        if len(last_first) < size:
            if keeps(row):
                heappush(last_first, (key, position, row))
        elif key > last_first[0][0] and keeps(row):
            heapreplace(last_first, (key, position, row))
    return sorted(((position, row) for _, position, row in last_first), key=itemgetter(0))


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
    """JSON's types. Bytes (images, audio) are dropped: no stage asks about them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes | bytearray):
        return None
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Decimal | timedelta | UUID):
        return str(value)
    return value if isinstance(value, str | int | float | None) else None
