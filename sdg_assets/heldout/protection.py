"""Decides which held-out hashes a partition needs, and loads all that exist.

The rule: no row skips the contamination gate unnoticed. Before a subtask's rows are normalized or
filtered, its own held-out splits must be hashed, and so must every protected benchmark that
SDG_WITHOUT_BENCHMARKS does not name. Held-out splits of other subtasks are used once they are
hashed. The manifest records the hashes used, the splits missing from their sources, and the
benchmarks left out.

Hashes are complete if each split was read and had rows, or if the source in use does not have the
split: the embedded samples and a mirror of a few datasets lack most splits, which the Hub may have.
No rows at all from the Hub, or a split without rows from any source, is an error in the catalog or
in the copy: a comparison with no rows would accept everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache, partial
from typing import Any

from sdg_assets.catalog import Catalog, SubtaskSpec, load_protected
from sdg_assets.errors import CatalogError, StoreError
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


def is_hashed(store: Store, key: PartitionKey, source: str) -> bool:
    """Whether the hashes exist and lack nothing that this source may have.

    Args:
        store: The store with the hashes.
        key: Their partition, from `heldout_key`.
        source: The seed source in use. The Hub may have splits that the samples lack.
    """
    return _is_complete(store.manifests([key]).get(key), source)


def benchmarks_to_hash(store: Store, without: Collection[str], source: str) -> list[str]:
    """The protected benchmarks that must be hashed before anything can be normalized.

    Args:
        store: The store with the hashes.
        without: Benchmarks that may be missing; EVERY_BENCHMARK for all.
        source: The seed source in use.

    Raises:
        CatalogError: `without` names an unknown benchmark.
    """
    names = [benchmark.name for benchmark in load_protected()]
    allowed = _allowed(without, names)
    keys = {name: heldout_key(PROTECTED, name) for name in names if name not in allowed}
    published = store.manifests(keys.values())
    return [n for n, key in keys.items() if not _is_complete(published.get(key), source)]


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
    names = [benchmark.name for benchmark in load_protected()]
    benchmarks = {name: heldout_key(PROTECTED, name) for name in names}
    keys = {
        f"{task.task}/{subtask}": heldout_key(task.task, subtask)
        for task in catalog.enabled()
        for subtask in task.enabled_subtasks()
    } | benchmarks
    own = {heldout_key(spec.task, spec.key): spec for spec in specs}
    published = store.manifests({*own, *keys.values()})
    stores = dict.fromkeys(published, store)
    if own_hashes:
        published |= own_hashes.manifests(own)
        stores |= dict.fromkeys(own, own_hashes)
    for key, spec in own.items():
        manifest = published.get(key)
        if manifest and (empty := _without_rows(manifest, source)):
            raise StoreError(
                f"{spec.task}/{spec.key}: held-out splits without rows in {source}: {empty}, so "
                "rows that repeat them cannot be detected; repair the copy, or `heldout_splits` in "
                "the catalog, then materialize "
                f"{spec.task}/{Stage.HELDOUT} (partition {spec.key}) again"
            )
        if not _is_complete(manifest, source):
            raise StoreError(
                f"{spec.task}/{spec.key}: its held-out splits are not hashed from {source}, so "
                "rows that repeat them cannot be detected; "
                f"materialize {spec.task}/{Stage.HELDOUT} (partition {spec.key}) first"
            )
    absent = [n for n, key in benchmarks.items() if not _is_complete(published.get(key), source)]
    allowed = _allowed(without, names)
    if needed := [name for name in absent if name not in allowed]:
        raise StoreError(
            f"{len(needed)} protected benchmarks are not hashed from {source}: "
            f"{', '.join(needed)}. Materialize {PROTECTED}/{Stage.HELDOUT} (one partition per "
            "benchmark), or name the benchmarks that you cannot read in SDG_WITHOUT_BENCHMARKS: "
            "releases will list them as not compared"
        )
    hashed = {name: key for name, key in keys.items() if key in published}
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


def _is_complete(published: Manifest | None, source: str) -> bool:
    if published is None:
        return False
    info = published.info
    same_source = info.get("source") == source
    lacking = info.get("missing") or info.get("empty") or _has_no_rows(info)
    return not lacking or (same_source and not _without_rows(published, source))


def _without_rows(published: Manifest, source: str) -> str:
    """The splits of the source in use that wrongly have no rows, as text; "" if there are none."""
    info = published.info
    if info.get("source") != source:
        return ""
    is_error = source == HUB or not info.get("missing")
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
