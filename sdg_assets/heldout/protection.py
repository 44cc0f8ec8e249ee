"""Decides which held-out hashes a partition needs, and loads all that exist.

The rule: no row skips the contamination gate unnoticed. Before a subtask's rows are normalized or
filtered, its own held-out splits must be hashed, and so must every protected benchmark that
SDG_WITHOUT_BENCHMARKS does not name. Held-out splits of other subtasks are used once they are
hashed. The manifest records the hashes used, the splits missing from their sources, and the
benchmarks left out.

Hashes are complete if they were made from the seed source in use (see freshness.py), and each split
had rows or is not in that source: the embedded samples and a mirror of a few datasets lack most
splits, which the Hub may have. No rows at all from the Hub, or a split without rows from any
source, is an error in the catalog or in the copy: a comparison with no rows accepts everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, partial
from typing import Any

from sdg_assets.catalog import Catalog, SubtaskSpec, load_protected
from sdg_assets.catalog.protected import ProtectedBenchmark
from sdg_assets.errors import CatalogError, StoreError
from sdg_assets.heldout.freshness import SourceInUse, is_of_this_format
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.heldout.splits import HashedSplit
from sdg_assets.heldout.tables import HeldoutTables
from sdg_assets.records import Stage
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import Place

PROTECTED = "protected"
EVERY_BENCHMARK = "all"
HUB = "hub"


@dataclass(frozen=True)
class Protection:
    """The held-out rows that a partition is compared with."""

    index: HeldoutIndex
    against: dict[str, str]
    """Name → sha256 of the hashes; a name is `task/subtask` or a benchmark. Names without held-out
    rows are left out."""
    missing: dict[str, list[str]]
    """Name → the splits that its source did not have, as `dataset config split`."""
    without: list[str]
    """Protected benchmarks that are not hashed."""

    @property
    def record(self) -> dict[str, Any]:
        """Everything except the index, for a manifest."""
        return {"against": self.against, "missing": self.missing, "without": self.without}


def heldout_key(task: str, subtask: str) -> PartitionKey:
    """The partition of a subtask's hashes; of a protected benchmark's, if the task is PROTECTED."""
    return PartitionKey(task, Stage.HELDOUT.value, subtask)


def collection_name(key: PartitionKey) -> str:
    """The name of the held-out rows in this partition: `task/subtask`, or the benchmark's."""
    return key.subtask if key.task == PROTECTED else f"{key.task}/{key.subtask}"


def is_hashed(store: Store, spec: SubtaskSpec, source: str) -> bool:
    """Whether a subtask's hashes exist and lack nothing that this source has.

    Args:
        store: The store with the hashes.
        spec: The subtask.
        source: The seed source in use. The Hub may have splits that the samples lack.
    """
    key = heldout_key(spec.task, spec.key)
    return _is_complete(store.manifests([key]).get(key), spec, SourceInUse(source))


def benchmarks_to_hash(store: Store, without: Collection[str], source: str) -> list[str]:
    """The protected benchmarks that must be hashed before anything can be normalized.

    Args:
        store: The store with the hashes.
        without: Benchmarks that may be missing; EVERY_BENCHMARK for all.
        source: The seed source in use.

    Raises:
        CatalogError: `without` names an unknown benchmark.
    """
    benchmarks = {benchmark.name: benchmark for benchmark in load_protected()}
    allowed = _allowed(without, benchmarks)
    keys = {name: heldout_key(PROTECTED, name) for name in benchmarks if name not in allowed}
    published, in_use = store.manifests(keys.values()), SourceInUse(source)
    return [
        name
        for name, key in keys.items()
        if not _is_complete(published.get(key), benchmarks[name], in_use)
    ]


def protection(
    store: Store,
    catalog: Catalog,
    specs: Iterable[SubtaskSpec],
    without: Collection[str],
    source: str,
    *,
    own_hashes: Store | None = None,
) -> Protection:
    """Loads all hashes, after checking that they are sufficient.

    Args:
        store: The store with the hashes.
        catalog: The tasks whose held-out splits are used.
        specs: The subtasks whose rows will be tested.
        without: Benchmarks that may be missing; EVERY_BENCHMARK for all.
        source: The seed source in use.
        own_hashes: Another store that holds the hashes of these subtasks' own splits; None: `store`
            holds them.

    Raises:
        StoreError: A subtask's own splits, or a protected benchmark, are not hashed, or its splits
            had no rows.
        CatalogError: `without` names an unknown benchmark.
    """
    benchmarks = {benchmark.name: benchmark for benchmark in load_protected()}
    keys = {
        f"{task.task}/{subtask}": heldout_key(task.task, subtask)
        for task in catalog.enabled()
        for subtask in task.enabled_subtasks()
    } | {name: heldout_key(PROTECTED, name) for name in benchmarks}
    own = {heldout_key(spec.task, spec.key): spec for spec in specs}
    published = store.manifests({*own, *keys.values()})
    stores = dict.fromkeys(published, store)
    if own_hashes:
        published |= own_hashes.manifests(own)
        stores |= dict.fromkeys(own, own_hashes)
    in_use = SourceInUse(source)
    for key, spec in own.items():
        manifest = published.get(key)
        is_fresh = manifest and in_use.made(manifest.info, spec)
        if manifest and is_fresh and (empty := _without_rows(manifest.info)):
            raise StoreError(
                f"{spec.task}/{spec.key}: held-out splits without rows in {source}: {empty}, so "
                "rows that repeat them cannot be detected; repair the copy, or `heldout_splits` in "
                "the catalog, then materialize "
                f"{spec.task}/{Stage.HELDOUT} (partition {spec.key}) again"
            )
        if not is_fresh:
            raise StoreError(
                f"{spec.task}/{spec.key}: its held-out splits are not hashed from {source} as it "
                "is now, so rows that repeat them cannot be detected; "
                f"materialize {spec.task}/{Stage.HELDOUT} (partition {spec.key}) first"
            )
    absent = [
        name
        for name, benchmark in benchmarks.items()
        if not _is_complete(published.get(keys[name]), benchmark, in_use)
    ]
    allowed = _allowed(without, benchmarks)
    if needed := [name for name in absent if name not in allowed]:
        raise StoreError(
            f"{len(needed)} protected benchmarks are not hashed from {source}: "
            f"{', '.join(needed)}. Materialize {PROTECTED}/{Stage.HELDOUT} (one partition per "
            "benchmark), or name the benchmarks that you cannot read in SDG_WITHOUT_BENCHMARKS: "
            "releases will list them as not compared"
        )
    hashed = {
        name: key
        for name, key in keys.items()
        if key in published and is_of_this_format(published[key].info)
    }
    manifests = {name: published[key] for name, key in hashed.items()}
    against = {
        name: "-".join(sha[:16] for sha in manifest.attached.values())
        for name, manifest in manifests.items()
        if manifest.info.get("rows")  # without rows there is nothing to compare with
    }
    missing = {
        name: splits for name, m in manifests.items() if (splits := m.info.get("missing", []))
    }
    index = _index(
        tuple((name, stores[hashed[name]].root, hashed[name], against[name]) for name in against)
    )
    return Protection(index, against, missing, absent)


def _is_complete(
    published: Manifest | None, held_out: SubtaskSpec | ProtectedBenchmark, in_use: SourceInUse
) -> bool:
    return (
        published is not None
        and not _without_rows(published.info)
        and in_use.made(published.info, held_out)
    )


def _without_rows(info: Mapping[str, Any]) -> str:
    """The splits of the source in use that wrongly have no rows, as text; "" if there are none."""
    is_error = info.get("source") == HUB or not info.get("missing")
    return ", ".join(info.get("empty", ())) or (
        "all of them" if _has_no_rows(info) and is_error else ""
    )


def _has_no_rows(info: Mapping[str, Any]) -> bool:
    """Whether not a single row was hashed, although there were splits to hash."""
    return not info.get("rows") and info.get("splits") != 0


def missing_splits(splits: Iterable[HashedSplit]) -> list[str]:
    """The splits that the source did not have, as `dataset config split`."""
    return [split_name(split) for split in splits if split.missing]


def empty_splits(splits: Iterable[HashedSplit]) -> list[str]:
    """The splits that the source has but without rows, as `dataset config split`."""
    return [split_name(split) for split in splits if not split.missing and not split.rows]


def split_name(split: HashedSplit) -> str:
    """A split's name in lists of splits: `dataset config split`."""
    return f"{split.dataset} {split.config} {split.split}"


@lru_cache(maxsize=1)
def _index(pinned: tuple[tuple[str, Place, PartitionKey, str], ...]) -> HeldoutIndex:
    """One index per process; it is rebuilt when any of its hashes changed."""
    return HeldoutIndex(
        {
            name: HeldoutTables.from_bytes(partial(Store(root).attachment, key))
            for name, root, key, _ in pinned
        }
    )


def _allowed(without: Collection[str], names: Collection[str]) -> Collection[str]:
    if EVERY_BENCHMARK in without:
        return names
    for name in without:
        if name not in names:
            close = get_close_matches(name, names, n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else "see catalog/protected.yaml"
            raise CatalogError(f"SDG_WITHOUT_BENCHMARKS: no protected benchmark {name!r}; {hint}")
    return without
