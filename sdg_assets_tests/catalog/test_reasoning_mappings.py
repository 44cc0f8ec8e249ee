"""Compares the mapped rows of every reasoning task with `reasoning_rows.yaml`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdg_assets.catalog import SubtaskSpec, cached_catalog
from sdg_assets.mapping.record import RowMapping
from sdg_assets.records import Content
from sdg_assets.sources.source import DirectorySource

Case = dict[str, Any]

HERE = Path(__file__).parent
CATALOG = cached_catalog()
HUB = Path(os.environ.get("SDGTEST_HUB") or HERE.parents[2] / "shared" / "hub").absolute()
CASES: dict[str, list[Case]] = yaml.safe_load((HERE / "reasoning_rows.yaml").read_text("utf-8"))
needs_mirror = pytest.mark.skipif(not HUB.is_dir(), reason=f"no mirror of the Hub at {HUB}")


def spec_of(path: str) -> SubtaskSpec:
    """The subtask of a path `task/key`, whether it is enabled or not."""
    task, key = path.split("/")
    return CATALOG.task(task).resolve(key)


def mapped(spec: SubtaskSpec, row: Case) -> list[Content]:
    assert spec.record is not None
    return list(RowMapping(spec.record, spec.answer_kind, spec.key)(row))


def check(fields: Content, case: Case) -> None:
    assert fields.question == case["question"]
    assert fields.answer == case["answer"]
    assert fields.choices == case.get("choices", [])
    if fields.choices:
        assert fields.answer_index == fields.choices.index(case["answer"])
    for name in {"context", "aliases", "solution"} & case.keys():
        assert getattr(fields, name) == case[name]


def enabled_specs() -> Iterator[SubtaskSpec]:
    for task in CATALOG.enabled():
        if task.family == "reasoning":
            yield from (task.resolve(key) for key in task.enabled_subtasks())


def mirrored(tier: str, spec: SubtaskSpec) -> bool:
    config = HUB / tier / spec.dataset / spec.config
    return any(config.glob(f"{spec.split}-[0-9]*.parquet"))


def seed_rows(tier: str, spec: SubtaskSpec) -> Iterator[Case]:
    return DirectorySource("mirror", HUB / tier).rows(spec, spec.split)


def whole_splits() -> list[Any]:
    """All seed splits in the mirror and in its folder of tiny samples."""
    return [
        pytest.param(tier, spec, id=f"{tier}/{spec.key}")
        for tier in (".", "_tiny")
        for spec in enabled_specs()
        if mirrored(tier, spec)
    ]


def cases_of(kind: str) -> list[Any]:
    return [
        pytest.param(case, id=f"{case['task']}-{case.get('position', i)}")
        for i, case in enumerate(CASES[kind])
    ]


@needs_mirror
@pytest.mark.parametrize("case", cases_of("read"))
def test_a_row_of_the_mirror_maps_to_the_example_that_a_person_wrote(case: Case) -> None:
    spec, tier = spec_of(case["task"]), case.get("tier", ".")
    if not mirrored(tier, spec):
        pytest.skip(f"{HUB / tier} has no {spec.dataset}, split {spec.split}")
    row = next(islice(seed_rows(tier, spec), case["position"], None))
    (fields,) = mapped(spec, row)
    check(fields, case)


@needs_mirror
@pytest.mark.parametrize(("tier", "spec"), whole_splits())
def test_no_row_of_a_seed_split_fails_to_map(tier: str, spec: SubtaskSpec) -> None:
    assert spec.record is not None
    mapping = RowMapping(spec.record, spec.answer_kind, spec.key)
    contents = [fields for row in seed_rows(tier, spec) for fields in mapping(row)]
    assert contents
    if spec.answer_kind.selects:
        assert all(f.answer == f.choices[f.answer_index or 0] for f in contents)


@pytest.mark.parametrize("case", cases_of("written"))
def test_a_row_in_the_documented_columns_maps_to_the_expected_content(case: Case) -> None:
    (fields,) = mapped(spec_of(case["task"]), case["row"])
    check(fields, case)


@pytest.mark.parametrize("case", cases_of("dropped"))
def test_a_row_that_is_not_a_seed_is_dropped_without_an_error(case: Case) -> None:
    assert mapped(spec_of(case["task"]), case["row"]) == []


@pytest.mark.parametrize("hypothesis", ["even", "odd"])
def test_fld_seeds_a_row_in_sentences_or_in_formulas_and_never_in_both(hypothesis: str) -> None:
    row = {
        "hypothesis": hypothesis,
        "context": "sent1: c",
        "hypothesis_formula": "{A}",
        "context_formula": "sent1: {A}",
        "world_assump_label": "DISPROVED",
    }
    forms = ("fld/fld_default", "fld/fld_logical_formula_default")
    assert sum(len(mapped(spec_of(form), row)) for form in forms) == 1


def test_utilitarianism_puts_the_better_situation_first_or_second() -> None:
    spec = spec_of("hendrycks_ethics/ethics_utilitarianism")
    rows = [{"activity": f"good {i}", "baseline": f"bad {i}", "rating": ""} for i in range(40)]
    contents = [fields for row in rows for fields in mapped(spec, row)]
    assert all(fields.answer.startswith("good") for fields in contents)
    assert {fields.answer_index for fields in contents} == {0, 1}


def test_every_enabled_task_has_rows_tested_by_value() -> None:
    tested = {case["task"].split("/")[0] for kind in ("read", "written") for case in CASES[kind]}
    assert {spec.task for spec in enabled_specs()} <= tested


def test_every_reasoning_task_has_a_frame() -> None:
    tasks = CATALOG.tasks.values()
    assert [t.task for t in tasks if t.family == "reasoning" and not t.frame] == []


def test_at_least_34_reasoning_tasks_are_enabled() -> None:
    assert len({spec.task for spec in enabled_specs()}) >= 34
