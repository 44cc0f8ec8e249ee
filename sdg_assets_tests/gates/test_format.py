from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from sdg_assets.gates import first_refusals, format, language, schema  # noqa: A004
from sdg_assets.gates.format import FormatThresholds
from sdg_assets.gates.language import LanguageThresholds
from sdg_assets.records import AnswerKind, Example, Refusal
from sdg_assets_tests.gates.real_rows import real_examples, real_subtasks
from sdg_assets_tests.support.builders import needs_mirror
from sdg_assets_tests.support.records import example, numeric


def refusal_of(row: Example) -> Refusal | None:
    return first_refusals([row], [format.gate(FormatThresholds())]).get(0)


def reason(**changes: Any) -> str | None:
    refusal = refusal_of(example(**changes))
    return refusal.reason if refusal else None


def test_ordinary_rows_pass() -> None:
    assert reason() is None
    assert refusal_of(numeric()) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"question": "Why?"}, "question length"),
        ({"question": "Why? " * 1001}, "question length"),
        ({"context": "Long. " * 5001}, "context length"),
        ({"choices": ["word " * 200, "b"]}, "answer length"),
        ({"choices": ["A", "B", "C"]}, "label-only answer"),
        ({"choices": ["(a)", "Option b.", "c)"]}, "label-only answer"),
        ({"question": "As an AI I cannot ask this."}, "prompt debris"),
        ({"question": "What did Example 2 not mention?"}, "prompt debris"),
        ({"question": "What is {{ question }} here?"}, "prompt debris"),
        ({"context": "<|im_start|>user says hello"}, "prompt debris"),
        ({"context": "Hello.<|reserved_special_token_0|>"}, "prompt debris"),
        ({"context": "Hello.<｜end▁of▁sentence｜>"}, "prompt debris"),
        ({"context": "<tool_call> says hello"}, "prompt debris"),
        ({"question": "What is the caf\ufffd price?"}, "broken Unicode"),
        ({"context": "half a \ud800 pair"}, "broken Unicode"),
        ({"choices": ["ア", "イ", "ウ"]}, "label-only answer"),
        ({"choices": ["Paris", "Paris.", "Rome"]}, "choices say the same"),
        (
            {"choices": ["Rome", "Lyon", "Paris, which was the seat of kings ever since"]},
            "choices differ in length",
        ),
        (
            {
                "choices": [
                    "the old king himself",
                    "1789",
                    "the people of Paris",
                    "the men at court",
                ]
            },
            "a number among sentences",
        ),
        ({"choices": ["Paris", "Rome", "Both A and B"]}, "choice refers to labels"),
        (
            {"question": "Where is it? A) Paris B) Rome C) Madrid D) Lisbon"},
            "options stand in the question",
        ),
        (
            {"question": "Where is the Louvre? Correct answer: Paris"},
            "answer stands in the question",
        ),
        ({"question": "En tant qu'IA, que puis-je dire ?"}, "prompt debris"),
        ({"question": "作为一个人工智能，我不能问这个问题。"}, "prompt debris"),
        ({"question": 'Read {"question": "Who?"} and say.'}, "prompt debris"),
        ({"question": "The cafÃ© is where?"}, "broken Unicode"),
        ({"question": "Who wrote â€œUlyssesâ€\u009d?"}, "broken Unicode"),
        ({"question": "What is \ue000 here?"}, "broken Unicode"),
        ({"question": "What is \x08here?"}, "broken Unicode"),
        ({"context": "Run this:\n```python\nprint(1)"}, "unbalanced code fence"),
        ({"question": r"What is $\frac{1}{2} + 3?"}, "unbalanced LaTeX"),
        ({"question": r"What is \(\sqrt{2}?"}, "unbalanced LaTeX"),
        ({"question": r"What is $\frac{1}{2$?"}, "unbalanced LaTeX"),
        ({"question": r"Solve \begin{align} x = 1 with \pi."}, "unbalanced LaTeX"),
        (
            {"context": "The king of the small land went to see his old friend the duke. " * 4},
            "repetition",
        ),
        ({"question": "Who is it? " + "very " * 6}, "repetition"),
        ({"question": "Hmmmmm" + "m" * 20 + ", what is it?"}, "repetition"),
    ],
)
def test_text_unlike_training_text_is_refused(changes: dict[str, Any], expected: str) -> None:
    assert reason(**changes) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"question": r"Is $\{x : x > \frac12\}$ open in \[\mathbb{R}\\[2pt]\]?"},
        {"question": "Tom pays $5 and gets \\$2 back. What does it cost?"},
        {"choices": ["12", "15", "it cannot be determined from the information given above"]},
        {"choices": ["R", "Rr", "rr", "RR"]},
        {"question": "Only A tells the truth. Who lies, B or C?", "choices": ["B and C", "B", "D"]},
        {"question": "日本の首都は？", "choices": ["東京", "大阪"], "language": "ja"},
        {"context": "It is sold as an airboat; the above example is an AI model's."},
        {"choices": ["the car has more mass", "the car has less mass", "the cat has more mass"]},
    ],
    ids=[
        "formulae", "prices", "catch-all", "genes", "people", "Japanese", "near debris", "alike",
    ],
)  # fmt: skip
def test_text_that_people_write_passes(changes: dict[str, Any]) -> None:
    assert reason(**changes) is None


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


def test_one_of_two_named_in_the_question_is_no_giveaway() -> None:
    row = {"answer_kind": AnswerKind.SHORT_TEXT, "question": "Was it the Union or Sweden that won?"}

    assert reason(**row, answer="Sweden") is None


@pytest.mark.parametrize("answer", ["(B)", "Option C", "d.", "ア"])
def test_a_bare_label_answers_no_open_question(answer: str) -> None:
    row = {"answer_kind": AnswerKind.SHORT_TEXT, "question": "Which city is the oldest?"}

    assert reason(**row, answer=answer) == "label-only answer"


def test_equal_labels_in_many_rows_are_no_loop() -> None:
    rows = [
        example(question=f"Is {n} a prime?", answer_kind=AnswerKind.LABEL, choices=["no", "yes it"])
        for n in range(40)
    ]

    assert first_refusals(rows, [format.gate(FormatThresholds())]) == {}


def test_a_verdict_does_not_depend_on_the_rows_beside_it() -> None:
    bad = example(question="Who is it? " + "very " * 6)
    rows = [example(question="\0" * 3 + "odd"), numeric(), bad, example(context="x" * 13)]

    together = first_refusals(rows, [format.gate(FormatThresholds())])

    assert {place: refusal_of(row) for place, row in enumerate(rows) if refusal_of(row)} == together


def test_other_thresholds_change_the_verdicts() -> None:
    lax = FormatThresholds(question_chars=(1, 10**6), repeated_share=1.0, choice_ratio=100)
    context = "The king of the small land went to see his old friend the duke. " * 4
    rows = [
        example(question="Why?"),
        example(context=context),
        example(choices=["Rome", "Lyon", "Paris, which was the seat of kings ever since"]),
    ]

    assert len(first_refusals(rows, [format.gate(FormatThresholds())])) == 3
    assert first_refusals(rows, [format.gate(lax)]) == {}


@needs_mirror
@pytest.mark.parametrize("task", ["arc", "commonsense_qa", "gsm8k", "hendrycks_math", "boolq"])
def test_real_rows_are_refused_in_few_cases(task: str) -> None:
    rows = [
        row for spec in real_subtasks(task) for row in islice(real_examples(spec), 400)
        if schema.refusal_of(row) is None
    ]  # fmt: skip

    refused = first_refusals(
        rows, [format.gate(FormatThresholds()), language.gate(LanguageThresholds())]
    )

    assert len(rows) > 30
    assert len(refused) <= 0.01 * len(rows), list(refused.values())[:5]


def test_a_number_may_stand_in_its_question() -> None:
    question = "Ann has 12 pears and eats 0 of them. How many are left of the 12?"
    assert refusal_of(numeric(question=question, answer="12")) is None
