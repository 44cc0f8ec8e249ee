"""Stage 1: raw rows of a training split, as they are, at most `max_seeds` of them."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.examples import Seed, Source
from sdg_assets.sources import SeedSource


def collect_seeds(
    spec: SubtaskSpec, source: SeedSource, max_seeds: int | None = None
) -> Iterator[Seed]:
    """Reads the seed split of a subtask.

    The sample is deterministic and nested: rows are ranked by a hash of the subtask and their
    position, so a larger cap keeps every seed of a smaller one, and with it every completion.

    Args:
        spec: The subtask.
        source: Where to read.
        max_seeds: How many rows at the most; None for all.

    Yields:
        Seeds in the order of the split.

    Raises:
        SeedSourceError: The split cannot be read.
    """
    revision = source.revision(spec)
    numbered = enumerate(source.rows(spec, spec.split))
    if max_seeds is not None:
        ranked = heapq.nsmallest(max_seeds, numbered, key=lambda at: _rank(spec.key, at[0]))
        numbered = iter(sorted(ranked, key=lambda at: at[0]))  # type: ignore[assignment]
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


def _rank(subtask: str, position: int) -> bytes:
    return hashlib.blake2b(f"{subtask}:{position}".encode(), digest_size=8).digest()


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
