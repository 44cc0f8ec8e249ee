"""Questions are in the language of their rows; where not, the task's notes explain it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sdg_assets.catalog import cached_catalog, load_catalog
from sdg_assets.errors import CatalogError
from sdg_assets.mapping.record import RowMapping
from sdg_assets.records import AnswerKind, Content
from sdg_assets_tests.support.builders import TASK, write_catalog

ENGLISH = re.compile(r"\b(which|what|does|is|how|write|sum|this|the)\b", re.IGNORECASE)
TEMPLATE_CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


def test_a_question_in_another_language_than_its_row_is_explained() -> None:
    unexplained = []
    for task in cached_catalog().enabled():
        for key in task.enabled_subtasks():
            spec = task.resolve(key)
            if spec.language == "en" or spec.record is None:
                continue
            words = spec.record.words.get("ask", "")
            question = f"{TEMPLATE_CODE.sub('', spec.record.question)} {words}"
            if ENGLISH.search(question) and not re.search(r"stays? English", task.notes):
                unexplained.append(f"{task.task}/{key}: {question}")

    assert unexplained == []


def test_each_language_of_a_task_asks_in_its_own_words(tmp_path: Path) -> None:
    subtasks = {
        "quiz_de": {"config": "de", "words": {"ask": "Richtig?", "labels": ["Ja", "Nein"]}},
        "quiz_en": {"config": "en"},
    }
    record = {
        "question": "{{words.ask}} {{hypothesis}}",
        "choices": "{{words.labels}}",
        "answer_index": "{{label}}",
        "words": {"ask": "Right?", "labels": ["yes", "no"]},
    }
    catalog = load_catalog(write_catalog(tmp_path, {"record": record, "subtasks": subtasks}))

    rows: list[Content] = []
    for key in ("quiz_de", "quiz_en"):
        mapping = catalog.subtask("quiz", key).record
        assert mapping
        rows += RowMapping(mapping, AnswerKind.LABEL, key)({"hypothesis": "1 = 1", "label": 0})

    assert [row.question for row in rows] == ["Richtig? 1 = 1", "Right? 1 = 1"]
    assert [(row.answer, row.choices) for row in rows] == [
        ("Ja", ["Ja", "Nein"]),
        ("yes", ["yes", "no"]),
    ]


def test_a_subtask_that_lacks_words_of_its_template_is_refused_at_load(
    tmp_path: Path,
) -> None:
    record = {**TASK["record"], "question": "{{words.ask}} {{question}}"}

    with pytest.raises(CatalogError, match=r"quiz\.yaml: subtasks\.quiz: its `words` lack ask"):
        load_catalog(write_catalog(tmp_path, {"record": record}))
