"""Properties of every seed task, tested on the real rows that this machine has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pytest

from sdg_assets.catalog import SubtaskSpec, cached_catalog
from sdg_assets.errors import SeedSourceError
from sdg_assets.mapping.lm_eval import are_labels
from sdg_assets.mapping.mapper import mapper_of
from sdg_assets.records import Example, Seed
from sdg_assets.sources.source import DirectorySource
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets_tests.support.builders import MIRROR, mirror_sources

ROWS = 400


def with_rows() -> Iterator[tuple[SubtaskSpec, DirectorySource]]:
    for task in cached_catalog().enabled():
        for key in task.enabled_subtasks():
            spec = task.resolve(key)
            for source in mirror_sources() if MIRROR.is_dir() else []:
                try:
                    has_split = spec.split in source.splits(spec)
                except SeedSourceError:
                    continue
                if has_split:
                    yield spec, source
                    break


CASES = list(with_rows())
Case = tuple[SubtaskSpec, DirectorySource]


def over(cases: list[Case]) -> pytest.MarkDecorator:
    ids = [f"{spec.task}/{spec.key}" for spec, _ in cases]
    return pytest.mark.parametrize(("spec", "source"), cases, ids=ids)


def examples(spec: SubtaskSpec, seeds: list[Seed]) -> list[Example]:
    return [row for row in normalize(spec, seeds) if isinstance(row, Example)]


def test_every_mapping_compiles() -> None:
    for task in cached_catalog().enabled():
        for key in task.enabled_subtasks():
            mapper_of(task.resolve(key))


@over(CASES)
def test_ids_are_unique_and_stable(spec: SubtaskSpec, source: DirectorySource) -> None:
    first, second = (
        [example.id for example in examples(spec, list(islice(collect_seeds(spec, source), ROWS)))]
        for _ in range(2)
    )

    assert first
    assert first == second
    assert len(set(first)) == len(first)


@over([case for case in CASES if case[0].answer_kind.selects])
def test_answers_are_choices_and_never_bare_labels(
    spec: SubtaskSpec, source: DirectorySource
) -> None:
    seeds = list(islice(collect_seeds(spec, source), ROWS))
    for example in examples(spec, seeds):
        assert example.answer_index is not None
        assert example.answer == example.choices[example.answer_index]
        assert not are_labels(sorted(example.choices))
        if are_labels(sorted(example.choices), numerals=True):
            # Options may be numbers, if the row spells them out as its options.
            assert set(example.choices) <= set(_texts(seeds[example.source.row].row))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    else:
        yield str(value).strip()
