"""Rows that people wrote: the seed splits of the mirror."""

from __future__ import annotations

from collections.abc import Iterator

from sdg_assets.catalog import SubtaskSpec, cached_catalog
from sdg_assets.errors import SeedSourceError
from sdg_assets.records import Example
from sdg_assets.sources.source import DirectorySource
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets_tests.support.builders import MIRROR


def real_subtasks(task: str) -> Iterator[SubtaskSpec]:
    """Subtasks of a task whose seed split is in the mirror."""
    seed_task = cached_catalog().task(task)
    for key in seed_task.enabled_subtasks():
        spec = seed_task.resolve(key)
        try:
            if spec.split in DirectorySource("mirror", MIRROR).splits(spec):
                yield spec
        except SeedSourceError:
            continue


def real_examples(spec: SubtaskSpec) -> Iterator[Example]:
    """A subtask's seeds as examples, in the order of the dataset."""
    rows = normalize(spec, collect_seeds(spec, DirectorySource("mirror", MIRROR)))
    return (row for row in rows if isinstance(row, Example))
