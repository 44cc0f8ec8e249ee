"""Compares the mapped rows of every knowledge task with `knowledge_rows.yaml`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
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
ENABLED = [task for task in CATALOG.enabled() if task.family == "knowledge"]
HUB = Path(os.environ.get("SDGTEST_HUB") or HERE.parents[2] / "shared" / "hub").absolute()
CASES: dict[str, list[Case]] = yaml.safe_load((HERE / "knowledge_rows.yaml").read_text("utf-8"))
SPLITS = sorted({(case.get("tier", "."), case["task"]) for case in CASES["read"]})
needs_mirror = pytest.mark.skipif(not HUB.is_dir(), reason=f"no mirror of the Hub at {HUB}")

# Tasks with dozens of labels: number of labels, first and last label, a row and its answer.
LABELS: list[tuple[str, int, str, str, Case, str]] = [
    (
        "ledgar/ledgar",
        100,
        "Adjustments",
        "Withholdings",
        {"text": "Delaware law governs.", "label": 47},
        "Governing Laws",
    ),
    (
        "banking77/banking77",
        77,
        "activate my card",
        "wrong exchange rate for cash withdrawal",
        {"text": "Where is my card?", "label": 11},
        "card arrival",
    ),
    (
        "injongointent/injongointent_swa_prompt_1",
        40,
        "alarm",
        "weather",
        {"text": "Weka kengele", "intent": "travel_notification"},
        "travel notification",
    ),
    (
        "financial_tweets/financial_tweets",
        20,
        "Analyst Update",
        "Stock Movement",
        {"text": "$MU beats", "label": 5},
        "Earnings",
    ),
    (
        "argument_topic/argument_topic",
        71,
        "affirmative action",
        "zoos",
        {"text": "Zoos save species.", "label": "zoos"},
        "zoos",
    ),
    (
        "argument_topic/argument_topic",
        71,
        "affirmative action",
        "zoos",
        {"text": "Three strikes are harsh.", "label": "the three-strikes laws"},
        "the three-strikes laws",
    ),
    (
        "argument_topic/argument_topic",
        71,
        "affirmative action",
        "zoos",
        {"argument": "It is cruel.", "topic": "whaling"},
        "whaling",
    ),
    (
        "claim_stance_topic/claim_stance_topic",
        55,
        "advertising",
        "year round schooling",
        {"text": "Boxing harms.", "label": "boxing"},
        "boxing",
    ),
]


def spec_of(path: str) -> SubtaskSpec:
    """The subtask of a path `task/key`."""
    task, key = path.split("/")
    return CATALOG.task(task).resolve(key)


def mapping_of(path: str) -> RowMapping:
    spec = spec_of(path)
    assert spec.record is not None
    return RowMapping(spec.record, spec.answer_kind, path)


def expected(case: Case) -> Content:
    """The content that a case expects; fields that it omits are empty."""
    choices = case.get("choices", [])
    index = choices.index(case["answer"]) if choices else None
    return Content(**{**case, "choices": choices, "answer_index": index})


def seed_rows(tier: str, path: str) -> Iterator[Case]:
    spec = spec_of(path)
    return DirectorySource("mirror", HUB / tier).rows(spec, spec.split)


def mirrored(tier: str, spec: SubtaskSpec) -> bool:
    config = HUB / tier / spec.dataset / spec.config
    return any(config.glob(f"{spec.split}-[0-9]*.parquet"))


def cases_of(kind: str) -> list[Any]:
    return [
        pytest.param(case, id=f"{case['task']}-{case.get('position', i)}")
        for i, case in enumerate(CASES[kind])
    ]


@needs_mirror
@pytest.mark.parametrize("case", cases_of("read"))
def test_a_row_of_the_mirror_maps_to_the_example_that_a_person_wrote(case: Case) -> None:
    row = list(seed_rows(case.get("tier", "."), case["task"]))[case["position"]]
    contents = [f for f in mapping_of(case["task"])(row) if f.question == case["question"]]
    (fields,) = contents
    assert fields.answer == case["answer"]
    assert sorted(fields.choices) == sorted(case.get("choices", []))
    if fields.choices:
        assert fields.choices[fields.answer_index or 0] == case["answer"]
    if not shuffled(case["task"]):
        assert fields.choices == case.get("choices", [])


@needs_mirror
@pytest.mark.parametrize(("tier", "path"), SPLITS)
def test_no_row_of_a_seed_split_fails_to_map(tier: str, path: str) -> None:
    mapping = mapping_of(path)
    contents = [list(mapping(row)) for row in seed_rows(tier, path)]
    assert contents
    assert all(contents)


@needs_mirror
def test_every_seed_split_of_the_mirror_has_cases() -> None:
    mirrored_splits = [
        (tier, f"{task.task}/{key}")
        for tier in (".", "_tiny")
        for task in ENABLED
        for key in task.enabled_subtasks()
        if mirrored(tier, task.resolve(key))
    ]
    assert sorted(mirrored_splits) == SPLITS


@needs_mirror
@pytest.mark.parametrize(("tier", "path"), SPLITS)
def test_three_rows_of_every_seed_split_are_read_by_value(tier: str, path: str) -> None:
    cases = [c for c in CASES["read"] if (c.get("tier", "."), c["task"]) == (tier, path)]
    assert len(cases) >= 3


@needs_mirror
def test_webqs_takes_further_answers_for_other_wordings() -> None:
    row = next(seed_rows(".", "webqs/webqs"))
    (fields,) = mapping_of("webqs/webqs")(row)
    assert fields.aliases == ["Jaxon Bieber"]


@needs_mirror
def test_coqa_puts_earlier_turns_into_the_context_and_skips_unknown_answers() -> None:
    row = next(seed_rows("_tiny", "coqa/coqa"))
    turns = list(mapping_of("coqa/coqa")(row))
    assert len(turns) == len(row["questions"]["input_text"]) - 1, "one answer is unknown"
    assert turns[0].context == row["story"].strip()
    assert turns[2].context.endswith(
        "\n\nQ: When was the Vat formally opened?\nA: It was formally established in 1475"
        "\n\nQ: what is the library for?\nA: research"
    )


@pytest.mark.parametrize("case", cases_of("written"))
def test_a_row_in_the_documented_columns_gives_these_examples(case: Case) -> None:
    contents = list(mapping_of(case["task"])(case["row"]))
    assert contents == [expected(content) for content in case["gives"]]


@pytest.mark.parametrize(("path", "number", "first", "last", "row", "answer"), LABELS)
def test_labels_are_in_the_order_of_the_datasets_class_names(
    path: str, number: int, first: str, last: str, row: Case, answer: str
) -> None:
    (fields,) = mapping_of(path)(row)
    assert fields.answer == answer
    assert len(set(fields.choices)) == number
    assert (fields.choices[0], fields.choices[-1]) == (first, last)
    assert fields.context == (row.get("text") or row["argument"])


@pytest.mark.parametrize("case", cases_of("dropped"))
def test_a_row_that_is_not_a_seed_is_dropped_without_an_error(case: Case) -> None:
    assert list(mapping_of(case["task"])(case["row"])) == []


def test_a_book_too_long_for_any_teacher_is_not_a_seed() -> None:
    mapping = mapping_of("scrolls_qa/scrolls_narrativeqa")
    assert list(mapping({"input": "Who?\n\n" + "a" * 119_000, "output": "he"}))
    assert not list(mapping({"input": "Who?\n\n" + "a" * 121_000, "output": "he"}))


def test_the_right_answer_of_sciq_occurs_at_every_position() -> None:
    mapping = mapping_of("sciq/sciq")
    positions: Counter[int | None] = Counter()
    for i in range(200):
        row = {f"distractor{n}": f"wrong {n}" for n in (1, 2, 3)}
        (fields,) = mapping({**row, "question": f"q{i}", "correct_answer": "right", "support": ""})
        assert fields.choices[fields.answer_index or 0] == fields.answer == "right"
        positions[fields.answer_index] += 1
    assert set(positions) == {0, 1, 2, 3}
    assert max(positions.values()) < 80


def test_every_subject_of_medmcqa_is_seeded_in_one_subtask_only() -> None:
    keys = CATALOG.task("medmcqa").enabled_subtasks()
    assert len(keys) == 21
    row = {"question": "Which?", "opa": "a liver", "opb": "a spleen", "opc": "", "opd": None}
    for subject in ("ENT", "Gynaecology & Obstetrics", "Skin", "Unknown", "Something new"):
        complete = {**row, "cop": 0, "subject_name": subject}
        seeding = [key for key in keys if list(mapping_of(f"medmcqa/{key}")(complete))]
        assert len(seeding) == 1, subject


def test_every_enabled_task_has_a_row_tested_by_value() -> None:
    tested = [case["task"] for kind in ("read", "written") for case in CASES[kind]]
    tested += [path for path, *_ in LABELS]
    assert {task.task for task in ENABLED} <= {path.split("/")[0] for path in tested}


def test_every_knowledge_task_has_a_frame() -> None:
    tasks = CATALOG.tasks.values()
    assert [t.task for t in tasks if t.family == "knowledge" and not t.frame] == []


def test_at_least_39_knowledge_tasks_are_enabled() -> None:
    assert len(ENABLED) >= 39


def shuffled(path: str) -> bool:
    record = spec_of(path).record
    return record is not None and record.shuffle
