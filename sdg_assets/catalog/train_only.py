"""The train-only rules: no evaluation rows as seeds. They are checked on every catalog load."""

from __future__ import annotations

from collections.abc import Iterator

from sdg_assets.catalog.lm_eval_index import Leaf, LmEvalIndex
from sdg_assets.catalog.protected import ProtectedBenchmark
from sdg_assets.catalog.seed_task import SeedTask
from sdg_assets.catalog.subtask_spec import SubtaskSpec

# Published few-shot sets have 4 to 25 rows; the smallest real training split has about 100.
MOST_EXEMPLARS = 32


def train_only_breaks(
    task: SeedTask, index: LmEvalIndex, protected: tuple[ProtectedBenchmark, ...]
) -> Iterator[str]:
    """Finds the rules that a task's subtasks break. Only enabled subtasks are checked.

    Args:
        task: The task.
        index: The splits that lm-eval evaluates on.
        protected: Benchmarks that must never be seeded.

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
            yield f"{split} is the protected benchmark {benchmark.name}, which is never seeded"
    leaves = _readers(spec, index)
    if evaluating := [leaf.name for leaf in leaves if spec.split in leaf.evaluated]:
        yield f"{split} is an evaluation split of lm-eval's {_first_three(evaluating)}"
    if exemplars_only or spec.rows is None or spec.rows > MOST_EXEMPLARS:
        return
    if showing := [leaf.name for leaf in leaves if spec.split in leaf.exemplar_splits]:
        yield (
            f"{split} holds only the {spec.rows} few-shot exemplars of {_first_three(showing)}; "
            "declare `exemplars_only: true` to seed them"
        )


def _readers(spec: SubtaskSpec, index: LmEvalIndex) -> list[Leaf]:
    """The leaves that read these rows, from this dataset or from the copy that lm-eval loads."""
    leaves = index.on(spec.dataset, spec.config)
    own_leaf = index.leaves.get(spec.lm_eval or "")
    return [*leaves, own_leaf] if own_leaf and own_leaf not in leaves else leaves


def _first_three(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
