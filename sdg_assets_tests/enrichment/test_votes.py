"""Adaptive voting decides as if all planned votes had been cast."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import get_args

import pytest

from sdg_assets.answers import answer_format
from sdg_assets.enrichment.ballot import VOTE_FAULTS, Ballot
from sdg_assets.enrichment.forms import vote_form
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.reading import first_that_reads_well
from sdg_assets.enrichment.votes import (
    Groups,
    decide,
    decided,
    read_ballot,
    sameness,
    tally,
    vote_request,
    waves,
)
from sdg_assets.gates import text_gates
from sdg_assets.records import (
    AnswerKind,
    Example,
    GeneratedExample,
    Outcome,
    TeacherClass,
    VoteFault,
)
from sdg_assets.teacher.requests import FAULTS, Completion, FinishReason, Request
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.support.records import CAPITALS, generated
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion
from sdg_assets_tests.support.solvers import question

QUESTION = generated()
SAME = sameness(QUESTION)


def ballot(
    answer: str | None,
    text: str = "",
    finish_reason: str = "stop",
    choices: list[str] | None = None,
) -> Ballot:
    completion = Completion.model_validate(
        {
            "request_id": "r",
            "text": text,
            "finish_reason": finish_reason,
            "prompt_tokens": 1,
            "output_tokens": 1,
        }
    )
    return Ballot(answer, completion, QUESTION.model_copy(update={"choices": choices or CAPITALS}))


CUT_OFF = "cut off"


def faults_in(votes: Iterable[str | None]) -> list[VoteFault]:
    return ["truncated" for vote in votes if vote == CUT_OFF]


def groups_of(votes: Iterable[str | None]) -> Groups:
    return tally(QUESTION.answer, [None if vote == CUT_OFF else vote for vote in votes], SAME)


def outcome_of(votes: Sequence[str | None], knobs: SolverKnobs) -> Outcome:
    groups, faults = groups_of(votes), faults_in(votes)
    return decide(QUESTION.answer, groups, knobs.votes, knobs.majority, SAME, faults)


def adaptive(votes: tuple[str | None, ...], knobs: SolverKnobs) -> tuple[Outcome, int]:
    cast: list[str | None] = []
    for wave in waves(knobs):
        cast += [votes[number] for number in wave]
        cut_off = len(faults_in(cast))
        if decided(QUESTION.answer, groups_of(cast), len(cast), knobs, SAME, cut_off):
            break
    return outcome_of(cast, knobs), len(cast)


@pytest.mark.parametrize("majority", [0.3, 0.5, 0.6, 2 / 3, 0.75])
@pytest.mark.parametrize("votes", range(1, 8))
def test_an_early_decision_is_the_one_that_all_votes_would_have_reached(
    votes: int, majority: float
) -> None:
    knobs = SolverKnobs(votes=votes, majority=majority)
    # Each vote is the writer's answer, one of two others, cut off, or no answer.
    said = ["Paris", "Rome", "Madrid", CUT_OFF, None] if votes < 6 else ["Paris", "Rome", CUT_OFF]
    for sequence in product(said, repeat=votes):
        outcome, cast = adaptive(sequence, knobs)

        assert outcome == outcome_of(sequence, knobs), sequence
        assert cast <= votes


@pytest.mark.parametrize(
    ("votes", "majority", "first"),
    [(1, 0.5, 1), (3, 0.5, 2), (5, 0.5, 3), (8, 0.5, 5), (4, 0.75, 4), (4, 1.0, 4)],
)
def test_the_first_wave_is_the_smallest_that_can_hold_a_majority(
    votes: int, majority: float, first: int
) -> None:
    planned = waves(SolverKnobs(votes=votes, majority=majority))

    assert len(planned[0]) == first
    assert [n for wave in planned for n in wave] == list(range(votes))


def test_votes_that_agree_stop_at_the_bare_majority() -> None:
    assert adaptive(("Paris",) * 8, SolverKnobs(votes=8)) == ("agreed", 5)


def test_a_vote_may_end_in_every_way_that_a_completion_can() -> None:
    assert set(FAULTS) == {*get_args(FinishReason)} - {"stop"}
    assert set(VOTE_FAULTS) == {*FAULTS.values(), "not compared"}


def test_votes_that_were_cut_off_stop_once_no_majority_is_left_to_reach() -> None:
    assert adaptive((CUT_OFF,) * 5, SolverKnobs(votes=5)) == ("truncated", 3)


def test_votes_stop_once_no_majority_is_left_to_reach() -> None:
    votes = ("Paris", "Rome", "Madrid", "Lisbon", "Paris")

    assert adaptive(votes, SolverKnobs(votes=5)) == ("no_majority", 4)


def test_two_answers_in_the_lead_are_no_majority() -> None:
    groups = [("Rome", 2), ("Paris", 2)]

    assert decide(QUESTION.answer, groups, 5, 0.3, SAME) == "no_majority"


def test_the_writers_wording_represents_its_group() -> None:
    number = generated(answer_kind=AnswerKind.NUMERIC, question="6 * 7?", answer="42")

    assert tally("42", ["42.0", None, "7", "$42$"], sameness(number)) == [("42", 2), ("7", 1)]


def test_a_trace_that_a_gate_refuses_is_not_used() -> None:
    gates = text_gates(Thresholds())
    looping = "Kings lived on the river. " * 40
    plain = "Parliament and president have their seats there."

    kept = first_that_reads_well(
        [(QUESTION, [looping, plain, looping]), (QUESTION, [looping]), (QUESTION, [])], gates
    )

    assert kept == [plain, "", ""]


def test_tally_puts_the_largest_group_first_and_ignores_votes_without_an_answer() -> None:
    groups = tally("Paris", ["Rome", None, "paris", "Paris"], sameness(question()))

    assert groups == [("Paris", 2), ("Rome", 1)]


@pytest.mark.parametrize(
    ("groups", "votes", "majority", "outcome"),
    [
        ([], 3, 0.5, "unsolvable"),
        ([("Paris", 2), ("Rome", 2)], 4, 0.5, "no_majority"),
        ([("Paris", 3), ("Rome", 1)], 4, 0.5, "agreed"),
        ([("Rome", 3), ("Paris", 1)], 4, 0.5, "majority_disagrees"),
        ([("Paris", 3)], 6, 0.5, "no_majority"),
        ([("Paris", 3)], 4, 0.75, "no_majority"),
    ],
)
def test_a_majority_is_more_than_its_share_of_all_votes(
    groups: list[tuple[str, int]], votes: int, majority: float, outcome: str
) -> None:
    assert decide("Paris", groups, votes, majority, sameness(question())) == outcome


def test_a_program_that_fails_its_own_tests_agrees_with_nobody() -> None:
    row = generated(
        answer_kind=AnswerKind.CODE,
        question="Write f, which doubles.",
        answer="def f(x):\n    return x",
        tests=["assert f(1) == 2", "assert f(2) == 4"],
    )
    same = sameness(row)

    groups = tally(row.answer, [row.answer, row.answer], same)

    assert decide(row.answer, groups, 2, 0.3, same) != "agreed"


def asked(row: GeneratedExample, teacher_class: TeacherClass) -> tuple[Example, Request]:
    teacher = ScriptedTeacher(lambda _: "")
    teacher.identity = replace(teacher.identity, teacher_class=teacher_class)
    return vote_request(row, 0, teacher, SolverKnobs())


def test_a_small_solver_reasons_and_then_takes_one_of_the_options_as_it_sees_them() -> None:
    presented, request = asked(QUESTION, "small")

    assert request.prompt_version.startswith("solve_json/multiple_choice@")
    assert request.json_schema is not None
    assert list(request.json_schema["properties"]) == ["reasoning", "answer"]
    assert request.json_schema["properties"]["answer"]["enum"] == presented.choices
    text = json.dumps({"reasoning": "Rome is the answer? No.", "answer": "Paris"})
    assert read_ballot(completion(request, text), presented).answer == "Paris"


def test_other_solvers_and_kinds_vote_in_free_text() -> None:
    number = generated(answer_kind=AnswerKind.NUMERIC, question="6 * 7?", answer="42")

    for _, request in (
        asked(QUESTION, "strong"),
        asked(QUESTION, "thinking"),
        asked(number, "small"),
    ):
        assert request.prompt_version.startswith("solve/")
        assert request.json_schema is None


@pytest.mark.parametrize("kind", AnswerKind)
def test_a_form_that_is_asked_for_has_a_schema(kind: AnswerKind) -> None:
    choices = {"choices": CAPITALS, "answer_index": 0} if kind.selects else {}
    row = generated(answer_kind=kind, answer=CAPITALS[0], **choices)
    constrained = [c for c in get_args(TeacherClass) if vote_form(kind, c) == "constrained"]

    assert not constrained or answer_format(kind).vote_schema(row)


@pytest.mark.parametrize(
    ("teacher_class", "setting", "tokens"),
    [("small", None, 384), ("strong", None, 2048), ("thinking", None, 1024), ("strong", 64, 64)],
)
def test_a_vote_is_as_long_as_its_solvers_class_needs_unless_a_setting_says_otherwise(
    teacher_class: TeacherClass, setting: int | None, tokens: int
) -> None:
    teacher = ScriptedTeacher(lambda _: "")
    teacher.identity = replace(teacher.identity, teacher_class=teacher_class)

    _, request = vote_request(QUESTION, 0, teacher, SolverKnobs(max_tokens=setting))

    assert request.sampling.max_tokens == tokens
