from __future__ import annotations

from typing import Any

import pytest

from sdg_assets.examples import AnswerKind, Example
from sdg_assets.gates import Refusal, first_refusals, format  # noqa: A004
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.records import example, numeric


def judged(row: Example) -> Refusal | None:
    return first_refusals([row], [format.gate(Thresholds())]).get(0)


def reason(**changes: Any) -> str | None:
    refusal = judged(example(**changes))
    return refusal.reason if refusal else None


def test_ordinary_rows_pass() -> None:
    assert reason() is None
    assert judged(numeric()) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"question": "Why?"}, "question length"),
        ({"question": "Why? " * 1000}, "question length"),
        ({"choices": ["word " * 200, "b"]}, "answer length"),
        ({"choices": ["A", "B", "C"]}, "label-only answer"),
        ({"choices": ["(a)", "Option b.", "c)"]}, "label-only answer"),
        ({"question": "As an AI I cannot ask this."}, "prompt debris"),
        ({"question": "What did Example 2 not mention?"}, "prompt debris"),
        ({"question": "What is {{ question }} here?"}, "prompt debris"),
        ({"context": "<|im_start|>user says hello"}, "prompt debris"),
        ({"question": "What is the caf\ufffd price?"}, "broken Unicode"),
        ({"context": "half a \ud800 pair"}, "broken Unicode"),
        ({"question": "Who is it? " + "very " * 6}, "repetition"),
        ({"question": "Hmmmmm" + "m" * 20 + ", what is it?"}, "repetition"),
    ],
)
def test_what_does_not_read_like_training_text_is_refused(
    changes: dict[str, Any], expected: str
) -> None:
    assert reason(**changes) == expected


def test_one_letter_among_words_may_be_a_real_answer() -> None:
    assert reason(question="Which vitamin is in oranges?", choices=["C", "iron", "salt"]) is None


@pytest.mark.parametrize(
    "text",
    [
        "The capital of France is ____________________.",
        "Read this.\n------------------------------\nWhat does it say?",
        "A light year has about 10000000000000000000 millimetres, true?",
        "What is     missing                      here?",
    ],
    ids=["blank", "rule", "zeros", "spaces"],
)
def test_blanks_rules_zeros_and_spaces_are_no_repetition(text: str) -> None:
    assert reason(question=text) is None


def test_indentation_of_a_program_is_no_repetition() -> None:
    program = "def f(n):\n    for i in n:\n        for j in i:\n            if j:\n" + (
        " " * 16 + "if j > 1:\n" + " " * 20 + "return [0, 0, 0, 0, 0, 0, 0, 0]\n"
    )
    row = {"answer_kind": AnswerKind.CODE, "question": "Write a function.", "answer": program}

    assert reason(**row, tests=["assert f([])"]) is None


def test_braces_in_a_program_are_no_debris() -> None:
    program = 'def f(x):\n    return f"{{{x}}}"\n'
    row = {"answer_kind": AnswerKind.CODE, "question": "Write a function.", "answer": program}

    assert reason(**row, tests=["assert f(1)"]) is None


def test_a_short_answer_must_not_stand_in_its_question() -> None:
    row = {"answer_kind": AnswerKind.SHORT_TEXT, "question": "Is Mount Everest in Nepal high?"}

    assert reason(**row, answer="Mount Everest") == "answer stands in the question"
    assert reason(**row, answer="K2") is None


def test_a_number_may_stand_in_its_question() -> None:
    question = "Ann has 12 pears and eats 0 of them. How many are left of the 12?"
    assert judged(numeric(question=question, answer="12")) is None
