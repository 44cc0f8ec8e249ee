"""Samples a subtask's training rows evenly, to measure how rare each n-gram is in the subtask."""

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

# Enough to find n-grams that occur in one row of two hundred.
SAMPLE = 4096
ItemT = TypeVar("ItemT")


def mapped_seeds(spec: SubtaskSpec, store: Store) -> Iterator[Example]:
    """A sample of a subtask's seeds as examples, for use before `normalized` is materialized.

    Args:
        spec: The subtask.
        store: The store with its seeds.
    """
    key = key_of(spec, Stage.SEEDS)
    sample = evenly(store.read(key, Seed), store.manifest(key).rows)
    with suppress(CatalogError):  # `normalized` itself reports a mapping that fits no row
        yield from (row for row in normalize(spec, sample) if isinstance(row, Example))


def training_rows(spec: SubtaskSpec, store: Store) -> Iterator[Example]:
    """A sample of a subtask's normalized rows; empty if `normalized` is not materialized.

    Args:
        spec: The subtask.
        store: The store with its rows.
    """
    key = key_of(spec, Stage.NORMALIZED)
    if store.exists(key):
        yield from evenly(store.read(key, Example), store.manifest(key).rows)


def evenly(items: Iterable[ItemT], count: int) -> Iterator[ItemT]:
    """Every n-th of `count` items, about `SAMPLE` of them; the same ones in every run."""
    return islice(items, 0, None, max(1, count // SAMPLE))
