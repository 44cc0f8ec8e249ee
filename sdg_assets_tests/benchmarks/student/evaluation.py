"""lm-eval's tasks on held-out splits that lie on this machine, and intervals of the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from sdg_assets.errors import PermanentError
from sdg_assets_tests.benchmarks.mirrored_release import spec_of

LOADERS = {".parquet": "parquet", ".jsonl": "json"}
"""Ending of a data file → the loader of `datasets` that reads it."""
QUANTILES = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
"""Degrees of freedom → the 97.5 % quantile of Student's t."""
NORMAL = 1.96
METRICS = ("acc", "exact_match", "f1")
"""The metric of a task: the first of these that it has."""
Scores = Mapping[str, Sequence[float]]
"""Task → score of each item, in the order of the items."""


@dataclass(frozen=True)
class Interval:
    """A mean with the half-width of its 95 % interval."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half:.3f}"


def local_tasks(names: Sequence[str], directory: Path) -> list[dict[str, Any]]:
    """The configurations of lm-eval's tasks, with the data files of a directory.

    Args:
        names: Subtasks of the catalog, as `task/subtask`.
        directory: Laid out like the Hub: `organization/name/config/split*.parquet` or `.jsonl`.

    Raises:
        PermanentError: lm-eval has no such task, or the directory lacks its data.
    """
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml

    index, tasks = TaskManager().task_index, []
    for name in names:
        spec = spec_of(name)
        if spec.lm_eval not in index:
            raise PermanentError(f"{name}: lm-eval has no task {spec.lm_eval}")
        folder = directory / spec.dataset / spec.config
        files = sorted(f for f in folder.glob("*") if f.suffix in LOADERS)
        if not files:
            raise PermanentError(f"{name}: no data files in {folder}; name others with --tasks")
        splits: dict[str, list[str]] = {}
        for file in files:
            splits.setdefault(file.stem.split("-0")[0], []).append(str(file))
        tasks.append(
            {
                **load_yaml(index[spec.lm_eval].yaml_path),
                "task": spec.lm_eval,
                "dataset_path": LOADERS[files[0].suffix],
                "dataset_name": None,
                "dataset_kwargs": {"data_files": splits},
            }
        )
    return tasks


def scores(
    model: Any, tokenizer: Any, tasks: Sequence[dict[str, Any]], limit: int | None, batch: int
) -> Scores:
    """Evaluates a model without examples in the prompt.

    Args:
        model: The student.
        tokenizer: Its tokenizer.
        tasks: From `local_tasks`.
        limit: Items of a task at most; None for all.
        batch: Requests at a time.
    """
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    student = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch)
    results: Any = simple_evaluate(
        model=student,
        tasks=[dict(task) for task in tasks],
        num_fewshot=0,
        limit=limit,
        bootstrap_iters=0,
    )
    return {
        task: [float(item[_metric(item)]) for item in sorted(items, key=lambda i: i["doc_id"])]
        for task, items in sorted(results["samples"].items())
    }


def over_seeds(runs: Sequence[Sequence[float]]) -> Interval:
    """The mean over training seeds, with an interval for other seeds and other items.

    Args:
        runs: For each seed the scores of the same items; differences of scores work as well.
    """
    means = [fmean(run) for run in runs]
    of_items = [fmean(item) for item in zip(*runs, strict=True)]
    of_mean = variance(of_items) / len(of_items) if len(of_items) > 1 else 0.0
    if len(means) > 1:
        of_mean += variance(means) / len(means)
    quantile = QUANTILES.get(len(means) - 1, NORMAL)
    return Interval(fmean(means), quantile * of_mean**0.5)


def _metric(item: Mapping[str, Any]) -> str:
    return next(metric for metric in METRICS if metric in item)
