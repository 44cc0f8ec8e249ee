from __future__ import annotations

import random
import subprocess
import sys
from itertools import islice
from typing import Any

import pytest

from sdg_assets.catalog import cached_catalog
from sdg_assets.errors import CatalogError, MappingError
from sdg_assets.mapping.lm_eval import LmEvalMapping, are_labels
from sdg_assets.mapping.mapper import mapper_of
from sdg_assets.records import AnswerKind, Content
from sdg_assets_tests.support.builders import mirror_sources, needs_mirror

CHOICE = AnswerKind.MULTIPLE_CHOICE


def rendered(leaf: str, row: dict[str, Any], kind: AnswerKind = CHOICE) -> Content:
    (fields,) = LmEvalMapping(leaf, kind, "quiz/quiz")(row)
    return fields


def test_a_rendering_comes_out_in_its_parts() -> None:
    row = {
        "question": "Which factor will most likely cause a person to develop a fever?",
        "choices": {
            "text": ["a leg muscle", "bacteria", "viral particles"],
            "label": ["1", "2", "3"],
        },
        "answerKey": "2",
    }

    fields = rendered("arc_easy", row)

    assert fields.question == row["question"]
    assert fields.choices == ["a leg muscle", "bacteria", "viral particles"]
    assert (fields.answer, fields.answer_index) == ("bacteria", 1)


def test_options_that_are_numbers_are_options() -> None:
    texts = {"text": ["1", "2", "3", "4"], "label": ["A", "B", "C", "D"]}
    row = {"question": "How many?", "choices": texts, "answerKey": "D"}

    assert rendered("arc_easy", row).answer == "4"


@needs_mirror
@pytest.mark.parametrize("key", ["arc_easy", "arc_challenge", "openbookqa"])
def test_where_lm_evals_rendering_is_right_it_equals_the_record(key: str) -> None:
    source = mirror_sources()[0]
    catalog = cached_catalog()
    task = next(task for task in catalog.enabled() if key in task.subtasks)
    spec = task.resolve(key)
    record, lm_eval = mapper_of(spec), mapper_of(spec.model_copy(update={"record": None}))

    for row in islice(source.rows(spec, "train"), 300):
        assert list(lm_eval(row)) == list(record(row))


@needs_mirror
def test_sciq_renders_its_few_rows() -> None:
    spec = cached_catalog().subtask("sciq", "sciq").model_copy(update={"record": None})
    mapper = mapper_of(spec)

    for row in mirror_sources()[1].rows(spec, "train"):
        (fields,) = mapper(row)
        assert fields.answer == row["correct_answer"].strip()
        assert fields.answer_index == 3
        assert row["question"].strip() in fields.question


def test_process_docs_run_row_by_row_and_repeat_themselves() -> None:
    row = {
        "Question": "Which?",
        "Correct Answer": "right",
        **{f"Incorrect Answer {i}": f"wrong {i}" for i in (1, 2, 3)},
    }
    state = random.getstate()

    with pytest.raises(CatalogError, match=r"its choices are the labels \['\(A\)'"):
        rendered("gpqa_main_zeroshot", row)
    assert rendered("gpqa_main_generative_n_shot", row, AnswerKind.SHORT_TEXT) == rendered(
        "gpqa_main_generative_n_shot", row, AnswerKind.SHORT_TEXT
    )
    assert random.getstate() == state


def test_process_docs_that_change_the_row() -> None:
    row = {
        "activity_label": "Roof",
        "ctx_a": "A man sits. [title]",
        "ctx_b": "he",
        "endings": ["sings.", "eats.", "falls.", "sleeps."],
        "label": "2",
    }

    fields = rendered("hellaswag", row)

    assert fields.question.startswith("Roof: A man sits.")
    assert "[title]" not in fields.question
    assert fields.answer == "falls."


@pytest.mark.parametrize(
    ("leaf", "kind", "says"),
    [
        ("commonsense_qa", CHOICE, "its choices are the labels ['A', 'B', 'C', 'D', 'E']"),
        ("xnli_de", CHOICE, "doc_to_text is empty"),
        ("gsm8k", CHOICE, "it has no doc_to_choice"),
        ("squadv2", AnswerKind.SPAN, "is written in Python"),
        ("no_such_leaf", CHOICE, "lm-eval has no task 'no_such_leaf'"),
        ("ai2_arc", CHOICE, "lm-eval has no task 'ai2_arc'"),
    ],
)
def test_a_leaf_that_cannot_be_rendered_is_refused(leaf: str, kind: AnswerKind, says: str) -> None:
    with pytest.raises(CatalogError) as error:
        LmEvalMapping(leaf, kind, "quiz/quiz")
    assert str(error.value).startswith("quiz/quiz: ")
    assert says in str(error.value)


def test_a_text_that_depends_on_the_option_is_refused() -> None:
    row = {
        "sentence": "The cup did not fit, _ was big.",
        "option1": "a",
        "option2": "b",
        "answer": "1",
    }

    with pytest.raises(MappingError, match="the text depends on the option; write a `record:`"):
        rendered("winogrande", row)


def test_an_error_in_lm_evals_code_rejects_only_the_row() -> None:
    with pytest.raises(MappingError, match="lm-eval: KeyError"):
        rendered("hellaswag", {"ctx_a": "x"})


def test_metrics_torch_and_network_are_not_needed() -> None:
    program = """
import socket, sys
def refuse(*_): raise AssertionError("network")
socket.socket.connect = refuse
from sdg_assets.records import AnswerKind
from sdg_assets.mapping.lm_eval import LmEvalMapping
(fields,) = LmEvalMapping("mediqa_qa2019", AnswerKind.FREE_FORM, "quiz/quiz")(
    {"QUESTION": {"QuestionText": "What?", "AnswerList": [{"Answer": {"AnswerText": "That."}}]}}
)
assert "That." in fields.answer, fields
assert "torch" not in sys.modules
assert "evaluate" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("choices", "labels"),
    [
        (["A", "B", "C"], True),
        (["(a)", "(b)"], True),
        (["A.", "B."], True),
        (["B", "A"], False),
        (["a cat", "b"], False),
        (["1", "2"], False),
        ([], False),
    ],
)
def test_labels(choices: list[str], labels: bool) -> None:
    assert are_labels(choices) is labels
    assert are_labels(["1", "2"], numerals=True)
    assert not are_labels(["2", "1"], numerals=True)
