"""Stage 1: copies at most `max_seeds` raw rows of a training split, unchanged.

Rows that do not meet the record's `where` are not stored and do not count towards `max_seeds`: they
belong to another subtask (another subject in a table of many subjects), or to none.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from heapq import heappush, heapreplace
from operator import itemgetter
from tempfile import SpooledTemporaryFile
from typing import Any
from uuid import UUID

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.mapping.record import RowMapping
from sdg_assets.records import Seed, Source
from sdg_assets.sources.source import Row, SeedSource
from sdg_assets.store.disk import clear_errors, temporary_directory

SPOOLED_BYTES = 16 << 20
"""Size up to which the rows of a sample wait in memory."""


def collect_seeds(
    spec: SubtaskSpec,
    source: SeedSource,
    max_seeds: int | None = None,
    *,
    count: Callable[[int], None] | None = None,
) -> Iterator[Seed]:
    """Reads the seed split of a subtask.

    The sample is deterministic and nested: rows are ranked by a hash of the subtask and their
    position. So a larger cap keeps every seed of a smaller one, and with it every completion. With
    a cap, `where` is evaluated only for rows that rank high enough.

    Args:
        spec: The subtask.
        source: The source of the rows.
        max_seeds: Maximum number of seeds; None for all rows that meet `where`.
        count: Called with the number of the split's rows, after the last one; see `shortfall`.

    Yields:
        Seeds in the order of the split.

    Raises:
        SeedSourceError: The split cannot be read.
        CatalogError: `where` is not valid Jinja.
    """
    revision, keeps = source.revision(spec), _filter(spec)
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


def shortfall(spec: SubtaskSpec, rows: int) -> str | None:
    """A warning if a seed split has fewer rows than the catalog declares; None if it does not.

    Args:
        spec: The subtask.
        rows: Number of rows that were read.
    """
    if spec.rows is None or rows >= spec.rows:
        return None
    return f"{spec.where}: {rows} rows found, {spec.rows} declared"


def _filter(spec: SubtaskSpec) -> Callable[[Row], bool]:
    """A function that tells whether a raw row meets `where`, evaluated on the row as stored."""
    if spec.record is None or spec.record.where is None:
        return lambda _row: True
    mapping = RowMapping(spec.record, spec.answer_kind, f"{spec.task}/{spec.key}")
    return lambda row: mapping.keeps(_plain(row))


def _sampled(
    spec: SubtaskSpec,
    numbered: Iterable[tuple[int, Row]],
    size: int,
    keeps: Callable[[Row], bool],
) -> Iterator[tuple[int, Row]]:
    """The `size` rows with the best ranks that meet `where`, in the order of the split.

    Rows wait in a temporary file: as objects, two million of them would take more than 3 GB.
    """
    last_first: list[tuple[int, int, int]] = []  # a heap: its first entry is the next to drop
    with SpooledTemporaryFile(SPOOLED_BYTES, dir=str(temporary_directory())) as file:

        def entry(key: int, position: int, row: Row) -> tuple[int, int, int]:
            offset = file.tell()
            with clear_errors(temporary_directory(), "TMPDIR"):
                pickle.dump(_plain(row), file, pickle.HIGHEST_PROTOCOL)
            return key, position, offset

        for position, row in numbered:
            elsewhere, digest = seed_rank(spec, position)
            key = -((elsewhere << 64) + int.from_bytes(digest))
            if len(last_first) < size:
                if keeps(row):
                    heappush(last_first, entry(key, position, row))
            elif key > last_first[0][0] and keeps(row):
                heapreplace(last_first, entry(key, position, row))
        last_first.sort(key=itemgetter(1))
        for _, position, offset in last_first:
            file.seek(offset)
            yield position, pickle.load(file)  # noqa: S301 – written above


def _counted(rows: Iterable[Row], count: Callable[[int], None] | None) -> Iterator[tuple[int, Row]]:
    position = 0
    for row in rows:
        yield position, row
        position += 1
    if count:
        count(position)


def seed_rank(spec: SubtaskSpec, position: int) -> tuple[bool, bytes]:
    """The sort key of a row: by a hash, but first the rows that this language of the task seeds."""
    digest = hashlib.blake2b(f"{spec.key}:{position}".encode(), digest_size=8).digest()
    return spec.owner(position) != spec.key, digest


def _plain(value: Any) -> Any:  # noqa: ANN401 – a dataset's value
    """Converts a value to JSON's types. Bytes (images, audio) become None: no stage uses them."""
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
