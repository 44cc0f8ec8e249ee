"""Drafts of a writer become contents of examples."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sdg_assets.answers import DraftError, answer_format
from sdg_assets.records import AnswerKind, Content
from sdg_assets_tests.answers.asking import ask

ANCHOR = ask(AnswerKind.MULTIPLE_CHOICE, "red", ["red", "green", "blue", "grey"])


def assembled(answer: str, *wrong: str) -> Content:
    kind = answer_format(AnswerKind.MULTIPLE_CHOICE)
    draft = kind.draft_model(ANCHOR).model_validate(
        {"question": "Which?", "answer": answer, "wrong_answers": list(wrong)}
    )
    return kind.assemble(draft, ANCHOR, random.Random(1))


def test_the_right_answer_is_found_again_after_the_shuffle() -> None:
    content = assembled("iron", "wood", "glass", "wool")

    assert content.answer_index is not None
    assert content.choices[content.answer_index] == content.answer == "iron"
    assert sorted(content.choices) == ["glass", "iron", "wood", "wool"]


def test_a_full_stop_does_not_give_the_answer_away() -> None:
    content = assembled("Plastic.", "Glass", "Metal", "Clay")

    assert content.answer == "Plastic"
    assert not any(choice.endswith(".") for choice in content.choices)


def test_an_abbreviation_keeps_its_full_stop() -> None:
    content = assembled("the U.S.", "Canada", "Chile.", "Cuba")

    assert content.answer == "the U.S."
    assert sorted(content.choices) == ["Canada", "Chile", "Cuba", "the U.S."]


def test_sentences_keep_their_full_stops() -> None:
    content = assembled("It melts.", "It burns.", "It cools.", "It grows.")

    assert all(choice.endswith(".") for choice in content.choices)


@pytest.mark.parametrize("copy", ["sun.", "Sun", "a sun", "The  Sun", '"the Sun"'])
def test_two_equal_choices_are_refused(copy: str) -> None:
    with pytest.raises(DraftError, match="repeated choices"):
        assembled("the Sun", copy, "Mars", "Venus")


@pytest.mark.parametrize(
    "choices",
    [
        ("WW or Ww", "WW or ww", "Ww or ww", "WW"),
        ("Aa", "AA", "aa", "A"),
        ("its", "it's", "their", "the"),
        ("f(x)", "f'(x)", "f''(x)", "-f(x)"),
        ("p ∧ q", "p ∨ q", "¬p ∧ q", "p"),
        ("O-", "O+", "O", "A"),
        ("5!", "5", "a/b", "a*b"),
    ],
)
def test_choices_that_differ_in_signs_and_symbols_are_kept(choices: tuple[str, ...]) -> None:
    assert sorted(assembled(*choices).choices) == sorted(choices)


@pytest.mark.parametrize(
    "program",
    [
        "return x x",
        "x = 'a\0b'",
        pytest.param(f"x = {'-' * 3000}1", id="too deep"),
        pytest.param(f"x = {'-' * 300_000}1", id="much too deep"),
    ],
)
@pytest.mark.parametrize("broken", ["program", "test"])
def test_a_program_or_test_that_no_parser_reads_is_refused(program: str, broken: str) -> None:
    kind = answer_format(AnswerKind.CODE)
    anchor = ask(AnswerKind.CODE, "x = 1", tests=["assert x", "assert x == 1"])
    parts = {"program": anchor.answer, "tests": anchor.tests}
    parts |= {"program": program} if broken == "program" else {"tests": [program, program]}
    draft = kind.draft_model(anchor).model_validate({"question": anchor.question, **parts})

    with pytest.raises(DraftError, match=f"{broken} does not parse"):
        kind.assemble(draft, anchor, random.Random(0))


def test_the_factorial_of_a_draft_is_kept() -> None:
    kind, anchor = answer_format(AnswerKind.NUMERIC), ask(AnswerKind.NUMERIC, "42")
    draft = kind.draft_model(anchor).model_validate(
        {"question": "How many orders?", "solution": "Ten books.", "answer": "10!"}
    )

    assert kind.assemble(draft, anchor, random.Random(0)).answer == "10!"


def test_a_draft_needs_as_many_wrong_answers_as_the_anchor() -> None:
    with pytest.raises(ValueError, match="wrong_answers"):
        assembled("iron", "wood")


@pytest.mark.parametrize("kind", list(AnswerKind))
def test_a_seed_turned_into_a_draft_and_back_is_unchanged(kind: AnswerKind) -> None:
    parts: dict[AnswerKind, dict[str, Any]] = {
        AnswerKind.CODE: {"tests": ["assert f(1) == 2", "assert f(2) == 3"]},
        AnswerKind.SPAN: {"context": "Iron is a metal."},
        AnswerKind.NUMERIC: {"solution": "6 * 7 = 42"},
    }
    answer = {AnswerKind.NUMERIC: "42", AnswerKind.CODE: "def f(x):\n    return x + 1"}
    seed = ask(kind, answer.get(kind, "Iron"), ["Iron", "Wood", "Wool"], **parts.get(kind, {}))
    answers = answer_format(kind)

    content = answers.assemble(answers.draft_of(seed), seed, random.Random(0))

    assert (content.question, content.answer) == (seed.question, seed.answer)
    assert set(content.choices) == set(seed.choices if kind.selects else [])
    assert content.tests == seed.tests
