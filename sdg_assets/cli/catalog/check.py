"""Compares the catalog with the installed lm-eval and with a source of rows."""

from __future__ import annotations

from collections.abc import Iterator

from sdg_assets.catalog.lm_eval_index import Leaf, LmEvalIndex
from sdg_assets.catalog.loader import Catalog
from sdg_assets.catalog.protected import load_protected
from sdg_assets.catalog.subtask_spec import SubtaskSpec
from sdg_assets.catalog.train_only import train_only_breaks
from sdg_assets.errors import SeedSourceError
from sdg_assets.sources.source import SeedSource


def differences(catalog: Catalog, index: LmEvalIndex) -> Iterator[str]:
    """Differences between the catalog and lm-eval's declarations, unless `differs:` explains them.

    Leaves must exist for disabled subtasks, too. Everything else is checked for enabled ones only.

    Args:
        catalog: The catalog.
        index: The declarations of the installed lm-eval.

    Yields:
        One sentence per difference, starting with `task/subtask: `.
    """
    for name, task in sorted(catalog.tasks.items()):
        for reason in train_only_breaks(task, index, load_protected()):
            yield f"{name}/{reason}"
        enabled = set(task.enabled_subtasks())
        for key, subtask in task.subtasks.items():
            leaf = index.leaves.get(subtask.lm_eval or "")
            if subtask.lm_eval and leaf is None:
                yield f"{name}/{key}: lm-eval {index.version} has no leaf {subtask.lm_eval!r}"
            if key in enabled and not (subtask.differs or task.differs):
                for reason in _undeclared(task.resolve(key), leaf, index):
                    yield f"{name}/{key}: {reason}"


def stale_index(recorded: LmEvalIndex, installed: LmEvalIndex) -> Iterator[str]:
    """Yields a sentence if the catalog's copy of lm-eval's index is out of date."""
    if recorded.datasets != installed.datasets:
        yield (
            f"evaluated_splits.json was written from lm-eval {recorded.version}, installed is "
            f"{installed.version}: run `sdg catalog check --update`"
        )


def absent_splits(catalog: Catalog, source: SeedSource) -> Iterator[str]:
    """Yields a sentence for each seed split that is missing in a dataset that the source has."""
    for task in catalog.enabled():
        for key in task.enabled_subtasks():
            spec = task.resolve(key)
            try:
                splits = source.splits(spec)
            except SeedSourceError:
                continue
            if spec.split not in splits:
                names = ", ".join(splits)
                yield f"{task.task}/{key}: {source.name} has no {spec.split!r}; it has: {names}"


def _undeclared(spec: SubtaskSpec, leaf: Leaf | None, index: LmEvalIndex) -> Iterator[str]:
    readers = index.on(spec.dataset, spec.config)
    if leaf and leaf.dataset:
        if leaf.dataset != spec.dataset:
            yield f"dataset is {spec.dataset}, {leaf.name} reads {leaf.dataset}"
        elif leaf.config not in (None, spec.config):
            yield f"config is {spec.config!r}, {leaf.name} reads {leaf.config!r}"
        if leaf.training not in (None, spec.split):
            yield f"seed split is {spec.split!r}, {leaf.name} trains on {leaf.training!r}"
    evaluated = {split: reader for reader in readers for split in reader.evaluated}
    for split in sorted(evaluated.keys() - set(spec.heldout_splits)):
        yield f"{evaluated[split].name} evaluates on {split!r}, which heldout_splits lacks"
