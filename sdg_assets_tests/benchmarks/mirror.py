"""The mirrored datasets for benchmarks: subtasks, their held-out splits, their rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from sdg_assets.catalog import SubtaskSpec, load_catalog, load_protected
from sdg_assets.errors import AbsentError, CatalogError, SeedSourceError
from sdg_assets.heldout.splits import HeldoutRows, SplitReader
from sdg_assets.heldout.tables import HeldoutTables
from sdg_assets.records import Content, Example, Seed, Source
from sdg_assets.sources.source import DirectorySource
from sdg_assets.stages.normalized import normalize
from sdg_assets_tests.support.builders import MIRROR

SOURCE = DirectorySource("mirror", MIRROR)


def subtasks() -> Iterator[SubtaskSpec]:
    """The subtasks whose training rows are in the mirror."""
    for task in load_catalog(allow_canary=()).enabled():
        for key in task.enabled_subtasks():
            spec = task.resolve(key)
            try:
                if spec.split in SOURCE.splits(spec):
                    yield spec
            except SeedSourceError:
                continue


def heldout_tables() -> dict[str, HeldoutTables]:
    """The hashes of all held-out splits in the mirror: of subtasks and of protected benchmarks."""
    tables = {}
    for spec in subtasks():
        rows = HeldoutRows()
        for split in spec.heldout_splits:
            rows.add(spec, split, SOURCE)
        tables[f"{spec.task}/{spec.key}"] = rows.tables()
    for benchmark in load_protected():
        rows = HeldoutRows()
        with suppress(AbsentError):  # the mirror lacks datasets of some benchmarks
            for spec in benchmark.specs(SOURCE.configs):
                rows.add(spec, spec.split, SOURCE)
        if len((hashed := rows.tables()).rows):
            tables[benchmark.name] = hashed
    return tables


def examples(spec: SubtaskSpec, split: str) -> Iterator[Example]:
    """A split's rows as a stage gets them; empty if the split is absent or hides its answers."""
    if split not in SOURCE.splits(spec):
        return
    seeds = (
        Seed(source=_source(spec, split, at), row=row)
        for at, row in enumerate(SOURCE.rows(spec, split))
    )
    every = spec.model_copy(update={"parallel_with": []})
    with suppress(CatalogError):
        yield from (row for row in normalize(every, seeds) if isinstance(row, Example))


def heldout_contents() -> dict[str, list[Content]]:
    """Every held-out row of the mirror, as it is hashed, by subtask and benchmark."""
    contents: dict[str, list[Content]] = {}
    for spec in subtasks():
        own = contents.setdefault(f"{spec.task}/{spec.key}", [])
        for split in spec.heldout_splits:
            own += _contents(spec, split)
    for benchmark in load_protected():
        own = contents.setdefault(benchmark.name, [])
        with suppress(AbsentError):
            for spec in benchmark.specs(SOURCE.configs):
                own += _contents(spec, spec.split)
    return contents


def _contents(spec: SubtaskSpec, split: str) -> Iterator[Content]:
    if split in SOURCE.splits(spec):
        yield from SplitReader(spec).contents(SOURCE.rows(spec, split))


def _source(spec: SubtaskSpec, split: str, row: int) -> Source:
    return Source(
        dataset=spec.dataset, config=spec.config, split=split, row=row, revision="r", license="x"
    )
