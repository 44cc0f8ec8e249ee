from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.gates.verification import refusal_of
from sdg_assets.records import Vote
from sdg_assets.teacher.requests import (
    FAULTS,
    Completion,
    FinishReason,
    Request,
    TeacherIdentity,
)
from sdg_assets.texts import render_texts
from sdg_assets_tests.support.records import CAPITALS
from sdg_assets_tests.support.scripted_teacher import STAMP, ScriptedTeacher, completion
from sdg_assets_tests.support.solvers import (
    Panel,
    Solver,
    answer,
    enriched_by,
    is_background,
    judged_by,
    number,
)
from sdg_assets_tests.support.thinkers import SWITCHED


@pytest.mark.parametrize(
    ("votes", "outcome", "requests", "share"),
    [
        (["Paris", "Paris"], "agreed", 2, 1.0),
        (["Paris", "Rome", "Paris"], "agreed", 3, 2 / 3),
        (["Rome", "Rome"], "majority_disagrees", 2, 0.0),
        (["Rome", "Paris", "Madrid"], "no_majority", 3, 1 / 3),
        (["Rome", "hm", "Paris"], "no_majority", 3, 1 / 3),
        (["hm", "hm", "hm"], "unsolvable", 3, 0.0),
    ],
)
def test_a_majority_decides_and_voting_stops_once_it_is_decided(
    tmp_path: Path, votes: list[str], outcome: str, requests: int, share: float
) -> None:
    solver = Solver(answer(v) if v != "hm" else "I do not know." for v in votes)

    (row,) = enriched_by(solver, tmp_path, votes=3)

    assert row.outcome == outcome
    assert solver.asked == requests
    assert row.vote_share == pytest.approx(share)


def test_five_votes_that_agree_stop_after_three(tmp_path: Path) -> None:
    solver = Solver([answer("Paris")] * 5)

    (row,) = enriched_by(solver, tmp_path, votes=5)

    assert (row.outcome, solver.asked) == ("agreed", 3)
    assert row.votes == [Vote(answer="Paris", count=3)]


def test_one_vote_is_enough_if_one_is_asked_for(tmp_path: Path) -> None:
    solver = Solver([answer("Paris")])

    (row,) = enriched_by(solver, tmp_path, votes=1)

    assert (row.outcome, row.vote_share) == ("agreed", 1.0)


def test_a_stricter_majority_needs_more_votes(tmp_path: Path) -> None:
    solver = Solver(answer(v) for v in ["Paris", "Paris", "Paris", "Rome"])

    (row,) = enriched_by(solver, tmp_path, votes=4, majority=0.75)

    assert (row.outcome, solver.asked) == ("no_majority", 4)


def test_answers_that_mean_the_same_are_one_vote_group(tmp_path: Path) -> None:
    solver = Solver(answer(v) for v in ["42.0", "7", "$42$"])

    (row,) = enriched_by(solver, tmp_path, number(), votes=3)

    assert row.outcome == "agreed"
    assert [v.count for v in row.votes] == [2, 1]


@pytest.mark.parametrize("finish_reason", FAULTS)
def test_votes_that_were_cut_off_do_not_make_a_question_unsolvable(
    tmp_path: Path, finish_reason: FinishReason
) -> None:
    def cut(request: Request) -> Completion:
        return completion(request, answer("Paris"), finish_reason)

    (row,) = enriched_by(ScriptedTeacher(cut), tmp_path, votes=3)

    assert (row.outcome.replace("_", " "), row.votes) == (FAULTS[finish_reason], [])
    assert (row.votes_cast, row.votes_cut_off, row.vote_share) == (2, 2, 0.0)
    refusal = refusal_of(row)
    assert refusal
    assert refusal.reason == FAULTS[finish_reason]
    assert refusal.detail == "answer 'Paris'; votes: none; 2 of 2 cut off"


@pytest.mark.parametrize(
    ("votes", "outcome", "share"),
    [
        (["Paris", "cut", "Paris"], "agreed", 1.0),
        (["Rome", "cut", "Rome"], "majority_disagrees", 0.0),
        (["Paris", "cut", "Rome"], "truncated_while_thinking", 0.5),
        (["Paris", "hm", "cut"], "truncated_while_thinking", 0.5),
        (["hm", "hm", "cut"], "unsolvable", 0.0),
        (["Paris", "Rome", "Madrid", "hm", "cut"], "no_majority", 0.25),
        (["Paris", "Rome", "cut", "hm", "cut"], "truncated_while_thinking", 1 / 3),
    ],
)
def test_the_question_is_to_blame_only_if_the_votes_cut_off_could_not_have_made_a_majority(
    tmp_path: Path, votes: list[str], outcome: str, share: float
) -> None:
    left = iter(votes)

    def vote(request: Request) -> Completion:
        if is_background(request):
            return completion(request, "France is in Europe.")
        said = next(left)
        if said == "cut":
            return completion(request, "", "thinking")
        return completion(request, answer(said) if said != "hm" else "I do not know.")

    (row,) = enriched_by(ScriptedTeacher(vote), tmp_path, votes=len(votes), adaptive=False)

    assert row.outcome == outcome
    assert row.votes_cut_off == votes.count("cut")
    assert row.vote_share == pytest.approx(share)


def test_the_most_frequent_end_names_the_outcome(tmp_path: Path) -> None:
    reasons: list[FinishReason] = ["length", "thinking", "thinking"]
    ends = iter(reasons)
    solver = ScriptedTeacher(lambda request: completion(request, "", next(ends)))

    (row,) = enriched_by(solver, tmp_path, votes=3, adaptive=False)

    assert row.outcome == "truncated_while_thinking"


def test_a_row_whose_votes_were_cut_off_is_solved_once_the_limit_is_raised(tmp_path: Path) -> None:
    def limited(request: Request) -> Completion:
        enough = request.sampling.max_tokens >= 1_000
        return completion(request, answer("Paris"), "stop" if enough else "length")

    teacher = ScriptedTeacher(limited)
    (cut_off,) = enriched_by(teacher, tmp_path, votes=3, max_tokens=100, with_knowledge=False)
    (solved_row,) = enriched_by(teacher, tmp_path, votes=3, max_tokens=1_000, with_knowledge=False)

    assert (cut_off.outcome, solved_row.outcome) == ("truncated", "agreed")


def test_a_row_that_was_cut_off_while_thinking_is_solved_once_the_budget_is_raised(
    tmp_path: Path,
) -> None:
    def limited(request: Request) -> Completion:
        thinking = teacher.identity.thinking
        if thinking and thinking.max_tokens > SWITCHED.max_tokens:
            return completion(request, answer("Paris"))
        return completion(request, "", "thinking")

    teacher = ScriptedTeacher(limited)
    teacher.identity = TeacherIdentity(STAMP, thinking=SWITCHED)
    (cut_off,) = enriched_by(teacher, tmp_path, votes=3, with_knowledge=False)
    more = SWITCHED.model_copy(update={"max_tokens": 9_000})
    teacher.identity = TeacherIdentity(STAMP, thinking=more)
    (solved_row,) = enriched_by(teacher, tmp_path, votes=3, with_knowledge=False)

    assert (cut_off.outcome, solved_row.outcome) == ("truncated_while_thinking", "agreed")


def test_the_solver_never_sees_the_writers_answer_marked(tmp_path: Path) -> None:
    solver = Solver([answer("7")] * 2)
    enriched_by(solver, tmp_path, number(), votes=3)

    for request in solver.requests:
        if not is_background(request):
            assert "42" not in "".join(m.content for m in request.messages)


def test_each_vote_sees_the_choices_in_an_order_of_its_own(tmp_path: Path) -> None:
    solver = Solver(answer(v) for v in ["Paris", "Rome", "Madrid", "Lisbon", "Paris", "Rome"])
    enriched_by(solver, tmp_path, votes=6)

    orders = [
        [line[2:] for line in r.messages[1].content.splitlines() if line.startswith("- ")]
        for r in solver.requests
    ]
    assert all(sorted(order) == sorted(CAPITALS) for order in orders)
    assert len({tuple(order) for order in orders}) > 2


def test_a_letter_counts_by_the_order_that_was_shown(tmp_path: Path) -> None:
    def by_letter(request: Request) -> str:
        if is_background(request):
            return "Background."
        options = [
            line[2:] for line in request.messages[1].content.splitlines() if line.startswith("- ")
        ]
        return answer("ABCD"[options.index("Paris")])

    (row,) = enriched_by(ScriptedTeacher(by_letter), tmp_path, votes=5)

    assert row.votes == [Vote(answer="Paris", count=3)]


def test_the_reasoning_is_a_trace_that_agrees(tmp_path: Path) -> None:
    solver = Solver(
        [
            "Emperors ruled from seven hills. Answer: Rome",
            "Ministers work on the river. Answer: Paris",
            "The president, parliament and ministers work on the river. Answer: Paris",
        ]
    )

    (row,) = enriched_by(solver, tmp_path, votes=3)

    assert row.reasoning == "The president, parliament and ministers work on the river."


def test_a_row_without_a_trace_that_explains_anything_has_no_reasoning(tmp_path: Path) -> None:
    (row,) = enriched_by(Solver(["Answer: Paris"] * 2), tmp_path, votes=3)

    assert (row.outcome, row.reasoning) == ("agreed", "")
    assert "with_reasoning" not in render_texts(row)


def test_more_votes_keep_the_earlier_ones(tmp_path: Path) -> None:
    votes = [answer(v) for v in ["Paris", "Rome", "Madrid", "Paris", "Paris"]]
    enriched_by(Solver(votes[:3]), tmp_path, votes=3)
    more = Solver(votes[3:])

    (row,) = enriched_by(more, tmp_path, votes=5)

    assert more.asked == 2
    assert row.votes[0] == Vote(answer="Paris", count=3)


def test_a_question_that_is_too_long_for_the_solver_says_so_and_is_asked_once_it_fits(
    tmp_path: Path,
) -> None:
    solver = ScriptedTeacher(lambda request: "Answer: Paris", max_model_len=20)
    (row,) = enriched_by(solver, tmp_path, votes=3)

    assert (row.outcome, row.votes, row.vote_share) == ("too_long", [], 0.0)
    assert solver.requests == []

    solver.max_model_len = 100_000
    (row,) = enriched_by(solver, tmp_path, votes=3)

    assert row.outcome == "agreed"


def test_the_whole_vote_table_can_be_asked_for(tmp_path: Path) -> None:
    (row,), report = judged_by(Panel([answer("Paris")] * 5), tmp_path, votes=5, adaptive=False)

    assert row.votes == [Vote(answer="Paris", count=5)]
    assert report.voting.tokens_saved == 0
