"""Seeds must not be evaluation text under another name: a translation, a relabelled copy.

The n-gram gate sees no translation, and no copy of a dataset that nobody hashed. So a catalog file
says what its rows were made of (`derived_from:`), and a task or subtask that was made of rows which
somebody evaluates on can only be switched off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sdg_assets.catalog.lm_eval_index import LmEvalIndex
from sdg_assets.catalog.models import EVERY_CONFIG, Derivation, SeedTask
from sdg_assets.catalog.protected import ProtectedBenchmark

# Dataset → (config, held-out splits, task).
HeldOut = Mapping[str, list[tuple[str, list[str], str]]]


def held_out_by_tasks(tasks: Iterable[SeedTask]) -> HeldOut:
    """The held-out splits of all tasks, switched off ones included, by dataset."""
    splits: dict[str, list[tuple[str, list[str], str]]] = {}
    for task in tasks:
        for key in task.subtasks:
            spec = task.resolve(key)
            entry = (spec.config, spec.heldout_splits, task.task)
            splits.setdefault(spec.dataset, []).append(entry)
    return splits


def derivation_breaks(
    task: SeedTask,
    held_out: HeldOut,
    index: LmEvalIndex,
    protected: tuple[ProtectedBenchmark, ...],
) -> Iterator[str]:
    """Which seeds of a task were made of evaluation rows; of one that is switched off, none.

    Args:
        task: The task.
        held_out: See `held_out_by_tasks`.
        index: What lm-eval evaluates on.
        protected: Benchmarks that are only ever held out.

    Yields:
        `<subtask>: <reason>`.
    """
    for key in task.enabled_subtasks():
        for origin in task.resolve(key).derived_from:
            evaluation = _evaluation(origin, held_out, index, protected)
            if evaluation:
                yield (
                    f"{key}: its rows derive from {origin.split!r} of {origin.dataset} "
                    f"({origin.config}), which is {evaluation}; switch it off (`enabled: false`, "
                    "`why:`)"
                )


def _evaluation(
    origin: Derivation,
    held_out: HeldOut,
    index: LmEvalIndex,
    protected: tuple[ProtectedBenchmark, ...],
) -> str:
    """What evaluates on the rows' origin; empty if nothing does."""
    for benchmark in protected:
        configs = benchmark.configs if origin.config == EVERY_CONFIG else (origin.config,)
        if any(benchmark.covers(origin.dataset, config, origin.split) for config in configs):
            return f"the protected benchmark {benchmark.name}"
    for config, splits, name in held_out.get(origin.dataset, []):
        if origin.split in splits and origin.reads(origin.dataset, config):
            return f"held out by the task {name}"
    for leaf in index.of(origin.dataset):
        same = leaf.config is None or origin.reads(origin.dataset, leaf.config)
        if same and origin.split in leaf.evaluated:
            return f"what lm-eval evaluates {leaf.name} on"
    return ""
