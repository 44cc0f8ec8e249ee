"""The rules that keep evaluation rows out of the seeds; they hold on every load of the catalog."""

from __future__ import annotations

from collections.abc import Iterator

from sdg_assets.catalog.lm_eval_index import Leaf, LmEvalIndex
from sdg_assets.catalog.models import SeedTask, SubtaskSpec
from sdg_assets.catalog.protected import ProtectedBenchmark

# Published few-shot sets have 4 to 25 rows; the smallest real training split has a hundred.
MOST_EXEMPLARS = 32


def train_only_breaks(
    task: SeedTask, index: LmEvalIndex, protected: tuple[ProtectedBenchmark, ...]
) -> Iterator[str]:
    """What is wrong with seeding a task; nothing is, of one that is switched off.

    Args:
        task: The task.
        index: What lm-eval evaluates on.
        protected: Benchmarks that are only ever held out.

    Yields:
        `<subtask>: <reason>`, for each rule that a subtask breaks.
    """
    for key in task.enabled_subtasks():
        spec = task.resolve(key)
        for reason in _breaks(spec, index, protected, task.exemplars_only):
            yield f"{key}: {reason}"


def _breaks(
    spec: SubtaskSpec,
    index: LmEvalIndex,
    protected: tuple[ProtectedBenchmark, ...],
    exemplars_only: bool,
) -> Iterator[str]:
    split = f"seed split {spec.split!r} of {spec.dataset} ({spec.config})"
    if spec.split in spec.heldout_splits:
        yield f"{split} is held out (evaluated on); seeds come from training splits only"
    for benchmark in protected:
        if benchmark.covers(spec.dataset, spec.config, spec.split):
            yield f"{split} is the protected benchmark {benchmark.name}; it is only ever held out"
    leaves = _readers(spec, index)
    if evaluating := [leaf.name for leaf in leaves if spec.split in leaf.evaluated]:
        yield f"{split} is what lm-eval evaluates {_some(evaluating)} on"
    if exemplars_only or spec.rows is None or spec.rows > MOST_EXEMPLARS:
        return
    if showing := [leaf.name for leaf in leaves if spec.split in leaf.shown]:
        yield (
            f"{split} is only the {spec.rows} few-shot exemplars of {_some(showing)}; declare "
            "`exemplars_only: true` to seed them"
        )


def _readers(spec: SubtaskSpec, index: LmEvalIndex) -> list[Leaf]:
    """The leaves that read these rows, here or in the copy that lm-eval loads."""
    leaves = index.on(spec.dataset, spec.config)
    named = index.leaves.get(spec.lm_eval or "")
    return [*leaves, named] if named and named not in leaves else leaves


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
