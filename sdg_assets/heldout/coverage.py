"""For every known held-out split: whether rows are compared with it, and if not, why.

The list has the held-out splits of every catalog task, enabled or not, and those of every protected
benchmark. A release carries the whole list, so that nobody has to guess what "decontaminated"
means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from sdg_assets.catalog import Catalog, SubtaskSpec, load_protected
from sdg_assets.catalog.entries import EVERY_CONFIG
from sdg_assets.catalog.protected import ProtectedBenchmark
from sdg_assets.catalog.seed_task import SeedTask
from sdg_assets.heldout.freshness import SourceInUse
from sdg_assets.heldout.protection import EVERY_BENCHMARK, PROTECTED, collection_name, heldout_key
from sdg_assets.heldout.splits import HashedSplit
from sdg_assets.store.partitions import REQUESTS, PartitionKey, Store

Reason = Literal[
    "compared",
    "switched off",
    "left out by name",
    "not hashed",
    "not in the source",
    "without rows",
]


@dataclass(frozen=True)
class SplitCoverage:
    """One held-out split, and whether rows are compared with it."""

    collection: str
    """`task/subtask`, or a protected benchmark's name."""
    dataset: str
    config: str
    split: str
    reason: Reason
    """"compared", or why it is not compared."""
    rows: int = 0
    """Compared rows, as counted in the dataset."""
    detail: str = ""
    """If compared: the other name under which it was hashed, if any. If not: the full reason."""

    @property
    def compared(self) -> bool:
        """Whether rows are compared with it."""
        return self.reason == "compared"


def coverage(
    store: Store, catalog: Catalog, without: Collection[str], source: str
) -> list[SplitCoverage]:
    """Lists all held-out splits, ordered by collection.

    Args:
        store: The store with the hashes.
        catalog: The tasks.
        without: Benchmarks that were left out by name; EVERY_BENCHMARK for any that is not hashed.
        source: The seed source in use. Hashes from another one do not count, although rows are
            compared with them: a small mirror's 2 rows are not the split.

    Raises:
        StoreError: A list of hashed splits is corrupt.
    """
    benchmarks = {benchmark.name: benchmark for benchmark in load_protected()}
    collections: dict[PartitionKey, SubtaskSpec | ProtectedBenchmark] = {
        heldout_key(task.task, key): task.resolve(key)
        for task in catalog.enabled()
        for key in task.enabled_subtasks()
    }
    collections |= {heldout_key(PROTECTED, name): each for name, each in benchmarks.items()}
    hashed = _hashed(store, collections, SourceInUse(source))
    splits = [
        SplitCoverage(name, s.dataset, s.config, s.split, *_outcome(s))
        for name, hashed_splits in hashed.items()
        for s in hashed_splits
    ]
    known = {_order(split) for split in splits}
    for task in catalog.tasks.values():
        splits += [s for s in _of_task(task) if _order(s) not in known]
    for name, benchmark in benchmarks.items():
        left_out = bool({name, EVERY_BENCHMARK} & {*without})
        for split in _of_benchmark(benchmark, left_out=left_out):
            # A dataset that the source does not have was recorded without its configs.
            whole = replace(split, config=EVERY_CONFIG)
            if name not in hashed or not (
                split.config == EVERY_CONFIG or {_order(split), _order(whole)} & known
            ):
                splits.append(split)
    return sorted(_under_other_names(splits), key=_order)


def not_compared(splits: Collection[SplitCoverage]) -> dict[Reason, list[SplitCoverage]]:
    """Reason → the splits that are not compared for this reason; the most frequent reason first."""
    groups: dict[Reason, list[SplitCoverage]] = {}
    for split in splits:
        if not split.compared:
            groups.setdefault(split.reason, []).append(split)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


REMEDIES: Mapping[Reason, str] = {
    "not hashed": "materialize `heldout` of these tasks, or `protected/heldout`, then `curated`",
    "switched off": "a task that is switched off has no `heldout`; only protected benchmarks are "
    "compared without a task",
    "left out by name": "take them out of SDG_WITHOUT_BENCHMARKS",
    "not in the source": "use a seed source that has them",
    "without rows": "repair the copy in the seed source",
}
"""What a person can do about splits that are not compared."""


def names_of(splits: Iterable[SplitCoverage], shown: int) -> str:
    """The first benchmarks and tasks that splits belong to, benchmarks first, as a list."""
    collections = {split.collection for split in splits}
    names = {name.split("/")[0] for name in collections}
    ordered = sorted(names, key=lambda name: (name not in collections, name))
    more = len(ordered) - shown
    return ", ".join(ordered[:shown]) + (f" and {more} more" if more > 0 else "")


def _hashed(
    store: Store,
    collections: Mapping[PartitionKey, SubtaskSpec | ProtectedBenchmark],
    in_use: SourceInUse,
) -> dict[str, list[HashedSplit]]:
    published = store.manifests(collections)
    keys = [key for key, m in published.items() if in_use.made(m.info, collections[key])]
    with ThreadPoolExecutor(REQUESTS) as pool:  # in a bucket, reading each list is one request
        lists = pool.map(lambda key: list(store.read(key, HashedSplit)), keys)
        return dict(zip(map(collection_name, keys), lists, strict=True))


def _outcome(split: HashedSplit) -> tuple[Reason, int, str]:
    if split.missing:
        # The source's own message contains paths of one machine, which must not be released.
        return "not in the source", 0, "the seed source does not have it"
    if not split.rows:
        return "without rows", 0, "the source has the split without rows"
    return "compared", split.rows, ""


def _of_task(task: SeedTask) -> Iterator[SplitCoverage]:
    """The task's held-out splits, reported as if none of them were hashed."""
    enabled = set(task.enabled_subtasks())
    for key, subtask in task.subtasks.items():
        spec = task.resolve(key)
        reason: Reason = "not hashed" if key in enabled else "switched off"
        why_off = (task.why if not task.enabled else subtask.why) or ""
        detail = f"materialize {task.task}/heldout, partition {key}" if key in enabled else why_off
        for split in spec.heldout_splits:
            name = f"{task.task}/{key}"
            yield SplitCoverage(name, spec.dataset, spec.config, split, reason, detail=detail)


def _of_benchmark(benchmark: ProtectedBenchmark, *, left_out: bool) -> Iterator[SplitCoverage]:
    reason: Reason = "left out by name" if left_out else "not hashed"
    detail = "SDG_WITHOUT_BENCHMARKS" if left_out else "materialize protected/heldout"
    for dataset in benchmark.datasets:
        for config in benchmark.configs:
            for split in benchmark.splits:
                yield SplitCoverage(benchmark.name, dataset, config, split, reason, detail=detail)


def _under_other_names(splits: list[SplitCoverage]) -> Iterator[SplitCoverage]:
    """The splits; a split that was hashed under another name counts as compared.

    A disabled task is often a protected benchmark, and several tasks may hold out the same splits.
    """
    compared = {(s.dataset, s.config, s.split): s for s in splits if s.compared}
    for split in splits:
        other = compared.get((split.dataset, split.config, split.split))
        if other and not split.compared and split.config != EVERY_CONFIG:
            detail = f"as {other.collection}"
            yield replace(split, reason="compared", rows=other.rows, detail=detail)
        else:
            yield split


def _order(split: SplitCoverage) -> tuple[str, str, str, str]:
    return split.collection, split.dataset, split.config, split.split
