"""The held-out rows that tried rows are compared with, where the store may lack some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sdg_assets.catalog import Catalog, SubtaskSpec
from sdg_assets.heldout.protection import (
    Protection,
    benchmarks_to_hash,
    heldout_key,
    is_hashed,
    protection,
)
from sdg_assets.heldout.publication import heldout_rows, publish_hashes
from sdg_assets.settings import Settings
from sdg_assets.sources.source import open_source
from sdg_assets.store.partitions import Store

NAMED = 5
"""Benchmarks that a note names at most."""


@dataclass(frozen=True)
class TryoutProtection:
    """The held-out rows, and where they come from.

    Attributes:
        protection: The index.
        is_in_store: Whether the subtask's own hashes are those of the store.
        notes: What rows are compared with, and with what not, as sentences.
    """

    protection: Protection
    is_in_store: bool
    notes: Sequence[str]


def tryout_protection(
    spec: SubtaskSpec, catalog: Catalog, store: Store, scratch: Store, settings: Settings
) -> TryoutProtection:
    """Loads the hashes that the store has, and hashes the subtask's own splits if it lacks them.

    Protected benchmarks that are not hashed are left out, with a note: to read all of them takes
    minutes, and some are gated.

    Args:
        spec: The subtask.
        catalog: The tasks whose held-out splits are used.
        store: The store of the settings; only read.
        scratch: Where hashes are written that the store lacks.
        settings: Name the seed source, and the benchmarks that may be missing.

    Raises:
        StoreError: A held-out split has no rows.
        SeedSourceError: A held-out split cannot be read.
        CatalogError: SDG_WITHOUT_BENCHMARKS names a benchmark that does not exist.
    """
    source, without = settings.seed_source, settings.without_benchmarks
    key, name = heldout_key(spec.task, spec.key), f"{spec.task}/{spec.key}"
    is_in_store = is_hashed(store, spec, source)
    if not is_in_store:
        rows = heldout_rows(spec, open_source(source))
        publish_hashes(scratch, key, rows, source)
    unhashed = benchmarks_to_hash(store, without, source)
    loaded = protection(
        store,
        catalog,
        [spec],
        {*without, *unhashed},
        source,
        own_hashes=None if is_in_store else scratch,
    )
    place = f"the store, {store.root}" if is_in_store else f"scratch, read from {source} just now"
    notes = []
    if name in loaded.against:
        notes = [f"Compared with the held-out splits of {name}; their hashes are in {place}."]
    if missing := loaded.missing.get(name):
        notes.append(
            f"Not compared with {', '.join(missing)}: {source} lacks these held-out splits of "
            f"{name}."
        )
    others = len(loaded.against.keys() - {name})  # splits of other subtasks, and benchmarks
    notes.append(f"Compared with {others} other held-out sets that {store.root} holds.")
    if unhashed:
        notes.append(
            f"Not compared with {len(unhashed)} protected benchmarks that are not hashed in "
            f"{store.root}: {_named(unhashed)}. A run hashes them first, and may refuse more rows."
        )
    if left_out := sorted(set(loaded.without) - set(unhashed)):
        notes.append(
            f"Not compared with {len(left_out)} protected benchmarks that SDG_WITHOUT_BENCHMARKS "
            f"leaves out: {_named(left_out)}."
        )
    return TryoutProtection(loaded, is_in_store, notes)


def _named(benchmarks: Sequence[str]) -> str:
    more = len(benchmarks) - NAMED
    return ", ".join(benchmarks[:NAMED]) + (f" and {more} more" if more > 0 else "")
