"""What of a vote becomes a row's reasoning."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from sdg_assets.enrichment.ballot import Ballot
from sdg_assets.enrichment.forms import vote_prompt
from sdg_assets.enrichment.traces import candidates
from sdg_assets.kinds import VoteForm
from sdg_assets.records import AnswerKind, Example, TeacherClass
from sdg_assets.teacher.requests import Completion
from sdg_assets_tests.support.records import generated

OPTIONS = ["magnet", "filter", "balance"]
SAND = generated(
    question="Which tool separates sand from water?",
    choices=OPTIONS,
    answer="filter",
    answer_index=1,
)
REASON = "Tiny holes let the liquid pass but keep every grain back."
CLIPS = generated(
    answer_kind=AnswerKind.NUMERIC,
    question="Ann sold 48 clips in April and half as many in May. How many clips did she sell?",
    choices=[],
    answer_index=None,
    answer="72",
)


def ballot(text: str, row: Example = SAND, finish_reason: str = "stop") -> Ballot:
    completion = Completion.model_validate(
        {
            "request_id": "r",
            "text": text,
            "finish_reason": finish_reason,
            "prompt_tokens": 1,
            "output_tokens": 1,
        }
    )
    return Ballot(row.answer, completion, row)


def trace(text: str, row: Example = SAND) -> str:
    """The trace that is kept of one vote; empty if none is."""
    return next(iter(candidates([ballot(text, row)], row)), "")


@pytest.mark.parametrize(
    "announced",
    [
        "{} Answer: filter",
        "{}\n\nAnswer: filter",
        "{}\n**Answer:** filter.",
        "{} Therefore, the answer is B.",
        "{} Therefore, the correct answer is: filter.",
        "{}\n\nFinal answer\n\nfilter",
        "{}\nSo it is B.",
        "{}\nSo, filter.",
        "{}\n\\boxed{{filter}}",
        "{} Filter is the correct answer.",
        "{}\nAnswer: filter\n\nI hope this helps!",
        "**Reasoning:** {}\n\n**Answer**: filter",
    ],
)
def test_the_announcement_at_the_end_is_left_to_the_texts_template(announced: str) -> None:
    assert trace(announced.format(REASON)) == REASON


@pytest.mark.parametrize(
    "announced",
    [
        "The correct answer is: filter. {}",
        "Answer: filter\n\nExplanation: {}",
        "filter\n\n{}",
        "The answer is B.\nBecause tiny holes let the liquid pass but keep every grain back.",
        "The right option is filter.\n{}\nAnswer: filter",
        "A filter separates sand from water. {}",
    ],
)
def test_an_answer_that_comes_first_is_turned_round_if_reasons_follow(announced: str) -> None:
    assert trace(announced.format(REASON)) == REASON


@pytest.mark.parametrize(
    "text",
    [
        "filter",
        "Answer: filter",
        "The correct answer is: filter. A filter is a tool that separates sand from water.",
        "A filter separates sand from water. It lets liquid pass through tiny holes of paper.",
        "We are asked which tool separates sand from water.\nAnswer: filter",
        "Let's think step by step.\nAnswer: filter",
        "A magnet, a filter or a balance? The filter separates sand.\nAnswer: filter",
    ],
)
def test_a_trace_that_says_only_what_question_and_answer_say_is_not_kept(text: str) -> None:
    assert trace(text) == ""


@pytest.mark.parametrize(
    "echo",
    [
        "Think of the options by their words.",
        "Let's think step by step.",
        "Which tool separates sand from water?",
        "To answer the question, think step by step in a few short sentences.",
        "Options:\n- magnet\n- filter\n- balance\n",
    ],
)
def test_an_echo_of_the_prompt_is_not_kept(echo: str) -> None:
    assert trace(f"{echo} {REASON}\nAnswer: filter") == REASON


@pytest.mark.parametrize("kind", AnswerKind)
@pytest.mark.parametrize("teacher_class", get_args(TeacherClass))
@pytest.mark.parametrize("form", get_args(VoteForm))
def test_no_words_of_any_solvers_prompt_are_kept(
    kind: AnswerKind, teacher_class: TeacherClass, form: VoteForm
) -> None:
    fields = {"choices": OPTIONS, "answer_index": 1} if kind.selects else {"choices": []}
    row = generated(
        **{"answer_index": None, **fields}, answer_kind=kind, question="Which?", answer="filter"
    )
    if kind.policy.trace_holds_answer or not kind.policy.keeps_trace:
        return
    prompt = vote_prompt(kind, teacher_class, form)
    told = prompt.render(context="", question="Which?", choices=row.choices, tests=[])[0].content

    kept = trace(f"{told}\n{REASON}\nAnswer: filter", row)

    assert kept == REASON


def test_a_calculation_is_kept_without_its_announcement() -> None:
    steps = "In May she sold 48 / 2 = 24 clips.\nTogether these are 48 + 24 = 72 clips."

    assert trace(f"{steps}\n\nAnswer: 72", CLIPS) == steps
    first = "To solve this, we need to divide 48 by 2, which gives 24."
    assert trace(f"{first} {steps}\nAnswer: 72", CLIPS) == f"{first} {steps}"
    assert trace(f"1. {steps}\n\nThe final answer is $\\boxed{{72}}$.", CLIPS) == f"1. {steps}"


def test_a_label_at_the_beginning_is_turned_round() -> None:
    row = generated(
        answer_kind=AnswerKind.BOOLEAN,
        question="Was Jessie filmed in New York?",
        choices=["yes", "no"],
        answer="no",
        answer_index=1,
    )

    assert trace("No, all scenes were shot at studios of Hollywood.", row) == (
        "All scenes were shot at studios of Hollywood."
    )
    assert trace("No.\nAll scenes were shot at studios (a) of Hollywood.", row) == (
        "All scenes were shot at studios (a) of Hollywood."
    )


@pytest.mark.parametrize(
    "talk",
    [
        "To answer this question, we need to know what each tool does.",
        "The question asks about tools.",
        "I need to compare the 3 tools.",
    ],
)
def test_talk_about_the_question_is_not_kept(talk: str) -> None:
    assert trace(f"{talk} {REASON}") == REASON


def test_a_calculation_with_the_numbers_of_the_question_is_kept() -> None:
    row = generated(
        answer_kind=AnswerKind.NUMERIC,
        question="He buys 2 large pizzas of 16 slices and 2 small ones of 8. How many slices?",
        choices=[],
        answer_index=None,
        answer="48",
    )
    steps = "The number of slices is 2*16 + 2*8 = 48 slices."

    assert trace(f"{steps}\nAnswer: 48", row) == steps
    assert trace("The number of slices is 48 slices.\nAnswer: 48", row) == ""


def test_a_reason_that_refers_to_what_was_left_out_is_not_kept() -> None:
    assert trace(f"The answer is filter. This can be seen from the grains. {REASON}") == ""
    assert trace(f"This tool is a sieve. So it is B. {REASON}\nAnswer: filter") == (
        f"This tool is a sieve. {REASON}"
    )


def test_an_elimination_is_reasoning_and_no_announcement() -> None:
    text = "Iron clings to poles, so a magnet is not the answer. A balance compares masses."

    assert trace(f"{text}\nAnswer: filter") == text


def test_the_reasoning_of_a_constrained_vote_is_its_trace() -> None:
    text = json.dumps({"reasoning": f"{REASON} So the answer is B.", "answer": "filter"})

    assert trace(text) == REASON


def test_labels_become_the_options_of_their_own_vote() -> None:
    text = f"Option A clings to iron poles only. {REASON}\nAnswer: B"

    assert trace(text) == f'"magnet" clings to iron poles only. {REASON}'


def test_a_trace_with_an_unclear_letter_is_not_kept() -> None:
    assert trace(f"As (C) has another use, {REASON} Answer: filter") == ""


def test_a_thought_is_no_part_of_a_trace() -> None:
    assert trace(f"<think>Hm, sieves have holes.</think>{REASON}\nAnswer: filter") == REASON


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
def test_an_incomplete_trace_is_not_kept(finish_reason: str) -> None:
    assert candidates([ballot(f"{REASON} And", finish_reason=finish_reason)], SAND) == []


def test_a_trace_that_corrects_itself_is_not_kept() -> None:
    text = f"The magnet attracts grains. Wait, that is wrong. {REASON}\nAnswer: filter"

    assert trace(text) == ""


def test_the_best_trace_is_the_shortest_of_the_longer_half() -> None:
    texts = [REASON + " Nothing else does." * length for length in (3, 0, 2, 1)]

    ranked = candidates(map(ballot, texts), SAND)

    assert ranked == [texts[2], texts[0], texts[3], texts[1]]


def test_equal_traces_are_one_candidate() -> None:
    assert candidates([ballot(REASON), ballot(f"{REASON}\nAnswer: filter")], SAND) == [REASON]


def test_a_trace_with_a_program_is_kept_whole() -> None:
    text = "Add it to itself.\n```python\ndef f(x):\n    return x + x\n```"
    row = generated(
        answer_kind=AnswerKind.CODE,
        question="Write f, which doubles.",
        choices=[],
        answer_index=None,
        answer="def f(x):\n    return 2 * x",
        tests=["assert f(1) == 2"],
    )

    assert trace(text, row) == text
