"""What a partition is gated against: which held-out hashes must be there, and which are.

The rule: nothing passes ungated in silence. A subtask's own held-out splits must be hashed before
its rows are normalized or filtered, and every protected benchmark, except those that
SDG_WITHOUT_BENCHMARKS names. Held-out splits of other subtasks count as soon as they are hashed.
What was used, what its sources did not have and what was left out goes into the manifest.

Hashes are complete when each split was read and had rows, or when the source in use does not have
the split: the embedded samples and a mirror of a few datasets lack most, and the Hub may have them.
Nothing at all from the Hub, or a split without rows from anywhere, is a fault of the catalog or of
the copy: what was compared with nothing would pass ungated.
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
    """The held-out rows that a partition is gated against."""

    index: HeldoutIndex
    against: dict[str, str]
    """Name → sha256 of the hashes: `task/subtask`, or a benchmark's name. Where no row was held out
    there is nothing to be gated against."""
    missing: dict[str, list[str]]
    """Name → splits that its source did not have, as `dataset config split`."""
    without: list[str]
    """Protected benchmarks that are not hashed, by order of SDG_WITHOUT_BENCHMARKS."""

    @property
    def record(self) -> dict[str, Any]:
        """For a manifest: everything but the index."""
        return {"against": self.against, "missing": self.missing, "without": self.without}


def heldout_key(task: str, subtask: str) -> PartitionKey:
    """Where the hashes of a subtask lie; of a protected benchmark, if the task is PROTECTED."""
    return PartitionKey(task, Stage.HELDOUT.value, subtask)


def is_hashed(store: Store, key: PartitionKey, source: str) -> bool:
    """Whether hashes are there, and lack nothing that this source may have.

    Args:
        store: Where they lie.
        key: See `heldout_key`.
        source: The seed source in use. What the samples lacked, the Hub may hold.
    """
    return _is_complete(store.manifests([key]).get(key), source)


def benchmarks_to_hash(store: Store, without: Collection[str], source: str) -> list[str]:
    """The protected benchmarks that must still be hashed before anything is normalized.

    Args:
        store: Where the hashes lie.
        without: Benchmarks that may be missing; EVERY_BENCHMARK for all.
        source: The seed source in use.

    Raises:
        CatalogError: `without` names a benchmark that there is not.
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
) -> Protection:
    """Everything that is hashed, once it is known to be enough.

    Args:
        store: Where the hashes lie.
        catalog: The tasks whose held-out splits count.
        specs: The subtasks that are gated.
        without: Benchmarks that may be missing; EVERY_BENCHMARK for all.
        source: The seed source in use.

    Raises:
        StoreError: A subtask's own splits, or a protected benchmark, are not hashed.
        CatalogError: `without` names a benchmark that there is not.
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
    for key, spec in own.items():
        manifest = published.get(key)
        if manifest and (nothing := _without_rows(manifest, source)):
            raise StoreError(
                f"{spec.task}/{spec.key}: held-out splits without rows in {source}: {nothing}, so "
                "rows that repeat them cannot be told; mend the copy, or `heldout_splits` in the "
                f"catalog, and materialize {spec.task}/{Stage.HELDOUT} (partition {spec.key}) again"
            )
        if not _is_complete(manifest, source):
            raise StoreError(
                f"{spec.task}/{spec.key}: its held-out splits are not hashed from {source}, so "
                "rows that repeat them cannot be told; "
                f"materialize {spec.task}/{Stage.HELDOUT} (partition {spec.key}) first"
            )
    absent = [n for n, key in benchmarks.items() if not _is_complete(published.get(key), source)]
    allowed = _allowed(without, names)
    if needed := [name for name in absent if name not in allowed]:
        raise StoreError(
            f"{len(needed)} protected benchmarks are not hashed from {source}: "
            f"{', '.join(needed)}. Materialize {PROTECTED}/{Stage.HELDOUT} (a partition a "
            "benchmark), or name those that you cannot read in SDG_WITHOUT_BENCHMARKS: releases "
            "will say so"
        )
    found = {name: key for name, key in keys.items() if key in published}
    manifests = {name: published[key] for name, key in found.items()}
    against = {
        name: "-".join(sha[:16] for sha in manifest.attached.values())
        for name, manifest in manifests.items()
        if manifest.info.get(
            "rows"
        )  # a source without held-out rows leaves nothing to compare with
    }
    missing = {
        name: splits for name, m in manifests.items() if (splits := m.info.get("missing", []))
    }
    index = _index(store.root, tuple((name, found[name], against[name]) for name in against))
    return Protection(index, against, missing, absent)


def _is_complete(published: Manifest | None, source: str) -> bool:
    if published is None:
        return False
    info = published.info
    same_source = info.get("source") == source
    lacking = info.get("missing") or info.get("empty") or _nothing(info)
    return not lacking or (same_source and not _without_rows(published, source))


def _without_rows(published: Manifest, source: str) -> str:
    """Which splits of the source in use have no rows, in words; empty if none is at fault."""
    info = published.info
    if info.get("source") != source:
        return ""
    at_fault = source == HUB or not info.get("missing")
    return ", ".join(info.get("empty", ())) or (
        "all of them" if _nothing(info) and at_fault else ""
    )


def _nothing(info: Mapping[str, Any]) -> bool:
    """Whether not one row was hashed, where there was a split to hash."""
    return not info.get("rows") and info.get("splits") != 0


def missing_splits(splits: Iterable[HashedSplit]) -> list[str]:
    """The splits that the source did not have, as `dataset config split`."""
    return [split_name(split) for split in splits if split.missing]


def empty_splits(splits: Iterable[HashedSplit]) -> list[str]:
    """The splits that the source has, without rows, as `dataset config split`."""
    return [split_name(split) for split in splits if not split.missing and not split.rows]


def split_name(split: HashedSplit) -> str:
    """How lists of splits name one: `dataset config split`."""
    return f"{split.dataset} {split.config} {split.split}"


@lru_cache(maxsize=1)
def _index(root: Place, pinned: tuple[tuple[str, PartitionKey, str], ...]) -> HeldoutIndex:
    """One index a process, built anew when any of its hashes changed."""
    store = Store(root)
    return HeldoutIndex(
        {name: HeldoutTables.from_bytes(partial(store.attachment, key)) for name, key, _ in pinned}
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
