"""Refuses seeds that were derived from evaluation rows, e.g. a translation or a relabelled copy.

The n-gram gate recognizes neither translations nor copies of datasets that were not hashed. So a
catalog file states the origin of its rows (`derived_from:`), and a task or subtask whose rows were
made from evaluation rows must be switched off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sdg_assets.catalog.dataset_ids import ByDataset
from sdg_assets.catalog.entries import EVERY_CONFIG, Derivation
from sdg_assets.catalog.lm_eval_index import LmEvalIndex
from sdg_assets.catalog.protected import ProtectedBenchmark
from sdg_assets.catalog.seed_task import SeedTask

# Dataset → (config, held-out splits, task) of each subtask.
HeldOut = ByDataset[list[tuple[str, list[str], str]]]


def held_out_by_tasks(tasks: Iterable[SeedTask]) -> HeldOut:
    """The held-out splits of all tasks by dataset, including tasks that are switched off."""
    splits: dict[str, list[tuple[str, list[str], str]]] = {}
    for task in tasks:
        for key in task.subtasks:
            spec = task.resolve(key)
            entry = (spec.config, spec.heldout_splits, task.task)
            splits.setdefault(spec.dataset, []).append(entry)
    return ByDataset(splits)


def derivation_breaks(
    task: SeedTask,
    held_out: HeldOut,
    index: LmEvalIndex,
    protected: tuple[ProtectedBenchmark, ...],
) -> Iterator[str]:
    """Finds subtasks whose seeds derive from evaluation rows. Only enabled subtasks are checked.

    Args:
        task: The task.
        held_out: Result of `held_out_by_tasks`.
        index: The splits that lm-eval evaluates on.
        protected: Benchmarks that must never be seeded.

    Yields:
        `<subtask>: <reason>`.
    """
    for key in task.enabled_subtasks():
        own = task.subtasks[key].derived_from
        for origin in task.derived_from if own is None else own:
            evaluation = _evaluation(origin, held_out, index, protected)
            if evaluation:
                yield (
                    f"{key}: its rows derive from split {origin.split!r} of {origin.dataset} "
                    f"({origin.config}), which is {evaluation}; switch it off (`enabled: false`, "
                    "`why:`)"
                )


def _evaluation(
    origin: Derivation,
    held_out: HeldOut,
    index: LmEvalIndex,
    protected: tuple[ProtectedBenchmark, ...],
) -> str:
    """Says how the origin of the rows is used for evaluation; empty if it is not."""
    for benchmark in protected:
        configs = benchmark.configs if origin.config == EVERY_CONFIG else (origin.config,)
        if any(benchmark.covers(origin.dataset, config, origin.split) for config in configs):
            return f"the protected benchmark {benchmark.name}"
    for dataset, entries in held_out.of(origin.dataset):
        for config, splits, name in entries:
            if origin.split in splits and origin.reads(dataset, config):
                return f"held out by the task {name}"
    for leaf in index.of(origin.dataset):
        is_same_config = leaf.config is None or origin.reads(leaf.dataset, leaf.config)
        if is_same_config and origin.split in leaf.evaluated:
            return f"an evaluation split of lm-eval's task {leaf.name}"
    return ""
