"""Which rows tell what is rare in a subtask: its own training rows, evenly sampled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TypeVar

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.errors import CatalogError
from sdg_assets.records import Example, Seed, Stage
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.stage import key_of
from sdg_assets.store.partitions import Store

# Enough to see what one row in two hundred has.
SAMPLE = 4096
ItemT = TypeVar("ItemT")


def mapped_seeds(spec: SubtaskSpec, store: Store) -> Iterator[Example]:
    """A sample of a subtask's seeds as examples, for `normalized`, which has not been made yet.

    Args:
        spec: The subtask.
        store: Where its seeds lie.
    """
    key = key_of(spec, Stage.SEEDS)
    sample = _evenly(store.read(key, Seed), store.manifest(key).rows)
    with suppress(CatalogError):  # a mapping that fits no row fails where all rows are mapped
        yield from (row for row in normalize(spec, sample) if isinstance(row, Example))


def training_rows(spec: SubtaskSpec, store: Store) -> Iterator[Example]:
    """A sample of a subtask's normalized rows; none where there is no such partition.

    Args:
        spec: The subtask.
        store: Where they lie.
    """
    key = key_of(spec, Stage.NORMALIZED)
    if store.exists(key):
        yield from _evenly(store.read(key, Example), store.manifest(key).rows)


def _evenly(items: Iterable[ItemT], count: int) -> Iterator[ItemT]:
    """At most `SAMPLE` or so of `count` items, the same ones in every run."""
    return islice(items, 0, None, max(1, count // SAMPLE))
