from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.enrichment.judging import Judge
from sdg_assets.enrichment.voting import SolverKnobs, decide, sameness, tally
from sdg_assets.gates import verification
from sdg_assets.records import (
    AnswerKind,
    EnrichedExample,
    GeneratedExample,
    Rejection,
    Role,
    Vote,
)
from sdg_assets.stages.enriched import EnrichmentReport, enrich
from sdg_assets.teacher.conversation import Desk, Usage, converse
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Completion, Request
from sdg_assets_tests.support.records import CAPITALS, generated
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion, ratings


class Solver(ScriptedTeacher):
    """Votes as told, one after the other; writes a background when asked for one."""

    def __init__(self, votes: Iterable[str], background: str = "France is in Europe.") -> None:
        self._votes: Iterator[str] = iter(votes)
        self._background = background
        super().__init__(self._say)

    def _say(self, request: Request) -> str:
        return self._background if is_background(request) else next(self._votes)

    @property
    def asked(self) -> int:
        """Votes that were asked for."""
        return sum(not is_background(r) for r in self.requests)


def is_background(request: Request) -> bool:
    return request.prompt_version.startswith("knowledge/")


def answer(text: str) -> str:
    return f"Some thought leads to it.\nAnswer: {text}"


def question(**changes: Any) -> GeneratedExample:
    return generated(**changes)


def number(**changes: Any) -> GeneratedExample:
    return generated(
        answer_kind=AnswerKind.NUMERIC, question="What is 6 times 7?", answer="42", **changes
    )


def enriched_by(
    teacher: ScriptedTeacher, tmp_path: Path, *rows: GeneratedExample, **knobs: Any
) -> list[EnrichedExample]:
    with CompletionLog(tmp_path / "log") as log:
        works = enrich(rows or (question(),), teacher, SolverKnobs(**knobs))
        return solved(converse(works, {Role.SOLVER: Desk(teacher, log)}, Usage()))


def solved(rows: Iterable[EnrichedExample | Rejection]) -> list[EnrichedExample]:
    """The rows, none of which was refused."""
    found = []
    for row in rows:
        assert isinstance(row, EnrichedExample), row
        found.append(row)
    return found


@pytest.mark.parametrize(
    ("votes", "outcome", "asked", "share"),
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
    tmp_path: Path, votes: list[str], outcome: str, asked: int, share: float
) -> None:
    solver = Solver(answer(v) if v != "hm" else "I do not know." for v in votes)

    (row,) = enriched_by(solver, tmp_path, votes=3)

    assert row.outcome == outcome
    assert solver.asked == asked
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


def test_a_stricter_majority_asks_on(tmp_path: Path) -> None:
    solver = Solver(answer(v) for v in ["Paris", "Paris", "Paris", "Rome"])

    (row,) = enriched_by(solver, tmp_path, votes=4, majority=0.75)

    assert (row.outcome, solver.asked) == ("no_majority", 4)


def test_answers_that_mean_the_same_are_one_vote_group(tmp_path: Path) -> None:
    solver = Solver(answer(v) for v in ["42.0", "7", "$42$"])

    (row,) = enriched_by(solver, tmp_path, number(), votes=3)

    assert row.outcome == "agreed"
    assert [v.count for v in row.votes] == [2, 1]


def test_a_truncated_vote_is_no_vote(tmp_path: Path) -> None:
    def cut(request: Request) -> Completion:
        return completion(request, answer("Paris"), "length")

    (row,) = enriched_by(ScriptedTeacher(cut), tmp_path, votes=3)

    assert (row.outcome, row.votes) == ("unsolvable", [])


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
        shown = [
            line[2:] for line in request.messages[1].content.splitlines() if line.startswith("- ")
        ]
        return answer("ABCD"[shown.index("Paris")])

    (row,) = enriched_by(ScriptedTeacher(by_letter), tmp_path, votes=5)

    assert row.votes == [Vote(answer="Paris", count=3)]


def test_the_reasoning_is_a_trace_that_agrees(tmp_path: Path) -> None:
    solver = Solver(
        [
            f"Rome was my first thought. {answer('Rome')}",
            "Short. " + answer("Paris"),
            "Longer and complete. " + answer("Paris"),
        ]
    )

    (row,) = enriched_by(solver, tmp_path, votes=3)

    assert row.reasoning == "Longer and complete. " + answer("Paris")


@pytest.mark.parametrize("votes", [["Rome", "Rome"], ["hm", "hm", "hm"]])
def test_an_unverified_row_costs_no_background(tmp_path: Path, votes: list[str]) -> None:
    solver = Solver(answer(v) if v != "hm" else "Who knows" for v in votes)

    (row,) = enriched_by(solver, tmp_path, votes=3)

    assert (row.reasoning, row.knowledge) == ("", "")
    assert not any(is_background(r) for r in solver.requests)


def test_a_verified_row_gets_its_background_unless_switched_off(tmp_path: Path) -> None:
    (row,) = enriched_by(Solver([answer("Paris")] * 2), tmp_path / "on", votes=3)
    assert row.knowledge == "France is in Europe."

    solver = Solver([answer("Paris")] * 2)
    (row,) = enriched_by(solver, tmp_path / "off", votes=3, with_knowledge=False)
    assert row.knowledge == ""
    assert len(solver.requests) == 2


def test_a_background_that_only_repeats_the_question_is_dropped(tmp_path: Path) -> None:
    solver = Solver([answer("Paris")] * 2, background="what is the capital of FRANCE")

    (row,) = enriched_by(solver, tmp_path, votes=3)

    assert (row.outcome, row.knowledge) == ("agreed", "")


def test_a_truncated_background_is_dropped(tmp_path: Path) -> None:
    def cut(request: Request) -> Completion:
        text = answer("Paris")
        return completion(request, text, "length" if is_background(request) else "stop")

    (row,) = enriched_by(ScriptedTeacher(cut), tmp_path, votes=3)

    assert (row.outcome, row.knowledge) == ("agreed", "")


def test_nothing_is_lost_and_everything_is_carried_over(tmp_path: Path) -> None:
    rows = [question(question=f"What is the capital of state {n}?") for n in range(9)]
    solver = Solver(answer(v) for v in ["Paris", "Rome", "Madrid"] * 9)

    out = enriched_by(solver, tmp_path, *rows, votes=3)

    assert [r.id for r in out] == [r.id for r in rows]
    for before, after in zip(rows, out, strict=True):
        assert dict(before).items() <= dict(after).items()
        assert after.solver == solver.identity.stamp


def test_a_rerun_asks_nothing_and_says_the_same(tmp_path: Path) -> None:
    votes = [answer(v) for v in ["Paris", "Rome", "Paris"]]
    first = enriched_by(Solver(votes), tmp_path, votes=3)
    silent = Solver([])

    assert enriched_by(silent, tmp_path, votes=3) == first
    assert silent.requests == []


def test_more_votes_keep_the_earlier_ones(tmp_path: Path) -> None:
    votes = [answer(v) for v in ["Paris", "Rome", "Madrid", "Paris", "Paris"]]
    enriched_by(Solver(votes[:3]), tmp_path, votes=3)
    more = Solver(votes[3:])

    (row,) = enriched_by(more, tmp_path, votes=5)

    assert more.asked == 2
    assert row.votes[0] == Vote(answer="Paris", count=3)


def test_tally_puts_the_largest_group_first_and_leaves_silence_out() -> None:
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


def test_a_question_that_is_too_long_for_the_solver_is_unsolvable_and_never_asked(
    tmp_path: Path,
) -> None:
    solver = ScriptedTeacher(lambda request: "Answer: Oslo", max_model_len=20)
    with CompletionLog(tmp_path / "log") as log:
        works = enrich([generated()], solver, SolverKnobs(votes=3))
        (row,) = solved(converse(works, {Role.SOLVER: Desk(solver, log)}, Usage()))

    assert (row.outcome, row.votes, row.vote_share) == ("unsolvable", [], 0.0)
    assert solver.requests == []


class Panel(ScriptedTeacher):
    """A solver and a judge in one: votes and backgrounds in turn, the same ratings every time."""

    def __init__(self, votes: Iterable[str], *, same: Iterable[bool] = (), rating: int = 5) -> None:
        self._votes, self._same = iter(votes), iter(same)
        self._rating = rating
        super().__init__(self._say)

    def _say(self, request: Request) -> str:
        if request.prompt_version.startswith("judge/rubric"):
            return ratings(self._rating, "So so.")
        if request.prompt_version.startswith("judge/comparison"):
            return json.dumps({"difference": "-", "same": next(self._same)})
        return "A background." if is_background(request) else next(self._votes)

    def asked_for(self, prompt: str) -> int:
        return sum(r.prompt_version.startswith(prompt) for r in self.requests)


def judged_by(
    panel: ScriptedTeacher, tmp_path: Path, *rows: GeneratedExample, **knobs: Any
) -> tuple[list[EnrichedExample], EnrichmentReport]:
    report = EnrichmentReport()
    with CompletionLog(tmp_path / "log") as log, CompletionLog(tmp_path / "judge") as judge_log:
        desks = {Role.SOLVER: Desk(panel, log), Role.JUDGE: Desk(panel, judge_log)}
        works = enrich(rows or (question(),), panel, SolverKnobs(**knobs), Judge(panel), report)
        return solved(converse(works, desks, Usage())), report


def test_a_verified_row_is_judged_and_keeps_its_scores(tmp_path: Path) -> None:
    (row,), _ = judged_by(Panel([answer("Paris")] * 2, rating=4), tmp_path)

    assert row.judge
    assert (row.judge.score, row.judge.reasons) == (0.75, ["So so."])
    assert row.knowledge == "A background."


def test_an_unverified_row_is_not_judged(tmp_path: Path) -> None:
    panel = Panel([answer("Rome")] * 2)
    (row,), _ = judged_by(panel, tmp_path)

    assert row.judge is None
    assert panel.asked_for("judge") == 0


def prose(**changes: Any) -> GeneratedExample:
    return generated(
        answer_kind=AnswerKind.FREE_FORM,
        question="Why is the sky blue?",
        answer="Air scatters short waves of light most.",
        **changes,
    )


def test_prose_agrees_when_the_judge_says_so(tmp_path: Path) -> None:
    panel = Panel(["Rayleigh's effect.", "Blue light is spread by molecules."], same=[True, True])

    (row,), _ = judged_by(panel, tmp_path, prose())

    assert (row.outcome, row.vote_share) == ("agreed", 1.0)
    assert row.votes == [Vote(answer=prose().answer, count=2)]


def test_prose_that_shares_words_but_not_the_meaning_does_not_agree(tmp_path: Path) -> None:
    wrong = "Air scatters long waves of light most."
    panel = Panel([wrong, wrong, wrong], same=[False])

    (row,), _ = judged_by(panel, tmp_path, prose())

    assert row.outcome == "majority_disagrees"
    assert panel.asked_for("judge/comparison") == 1, "an answer is compared once"


def test_prose_is_answered_and_not_reasoned_about(tmp_path: Path) -> None:
    (row,), _ = judged_by(Panel([prose().answer] * 2), tmp_path, prose())

    assert (row.outcome, row.reasoning) == ("agreed", "")


def test_a_strong_majority_corrects_the_writer_where_that_is_allowed(tmp_path: Path) -> None:
    (row,), report = judged_by(
        Panel([answer("Rome")] * 5), tmp_path, votes=5, accept_corrections=True
    )

    assert (row.answer, row.written_answer, row.outcome) == ("Rome", "Paris", "majority_disagrees")
    assert row.choices[row.answer_index or 0] == "Rome"
    assert row.id != question().id
    assert row.verified
    assert row.vote_share == 1.0
    assert row.reasoning.endswith("Answer: Rome")
    assert row.judge
    assert report.corrected == 1
    assert verification.judge(row) is None


def test_nothing_is_corrected_unless_it_is_allowed(tmp_path: Path) -> None:
    (row,), report = judged_by(Panel([answer("Rome")] * 5), tmp_path, votes=5)

    assert (row.answer, row.written_answer, row.verified) == ("Paris", "", False)
    assert report.corrected == 0


def test_a_weak_majority_corrects_nothing(tmp_path: Path) -> None:
    votes = [answer(v) for v in ("Rome", "Rome", "Rome", "Paris", "Madrid")]

    (row,), _ = judged_by(Panel(votes), tmp_path, votes=5, accept_corrections=True)

    assert (row.outcome, row.answer) == ("majority_disagrees", "Paris")


def test_voting_goes_on_until_a_correction_is_decided(tmp_path: Path) -> None:
    strong = Panel([answer("Rome")] * 5)
    judged_by(strong, tmp_path / "strong", votes=5, accept_corrections=True)
    weak = Panel(answer(v) for v in ("Rome", "Paris", "Rome", "Paris", "Rome"))
    judged_by(weak, tmp_path / "weak", votes=5, accept_corrections=True)

    assert strong.asked_for("solve") == 4, "four of five are strong"
    assert weak.asked_for("solve") == 5


def test_a_correction_that_the_schema_refuses_is_not_made(tmp_path: Path) -> None:
    row = generated(
        answer_kind=AnswerKind.SPAN,
        context="The seat of government is Paris.",
        question="Where is the seat?",
        answer="Paris",
    )

    (out,), report = judged_by(
        Panel([answer("Rome")] * 4), tmp_path, row, votes=4, accept_corrections=True
    )

    assert (out.answer, report.corrected) == ("Paris", 0)


def test_a_background_that_tells_too_much_is_asked_for_again(tmp_path: Path) -> None:
    backgrounds = iter(["Paris is it. Really.", "A capital governs a state."])

    def say(request: Request) -> str:
        return next(backgrounds) if is_background(request) else answer("Paris")

    (row,) = enriched_by(ScriptedTeacher(say), tmp_path)

    assert (row.knowledge, row.knowledge_fault) == ("A capital governs a state.", "")


def test_a_background_that_stays_bad_is_left_out_and_says_why(tmp_path: Path) -> None:
    (row,) = enriched_by(Solver([answer("Paris")] * 2, background="Paris. It is Paris."), tmp_path)

    assert (row.outcome, row.knowledge) == ("agreed", "")
    assert row.knowledge_fault == "gives the answer away"


def test_the_report_says_what_stopping_early_saved(tmp_path: Path) -> None:
    _, report = judged_by(Panel([answer("Paris")] * 3), tmp_path, votes=5)

    tokens = len(answer("Paris").split())
    assert (report.voting.cast, report.voting.planned) == (3, 5)
    assert report.voting.tokens == 3 * tokens
    assert report.numbers()["vote_tokens_saved"] == 2 * tokens
    assert report.knowledge == {"written": 1}


def test_the_whole_vote_table_can_be_asked_for(tmp_path: Path) -> None:
    (row,), report = judged_by(Panel([answer("Paris")] * 5), tmp_path, votes=5, adaptive=False)

    assert row.votes == [Vote(answer="Paris", count=5)]
    assert report.voting.tokens_saved == 0


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


@pytest.mark.parametrize(("of_solver", "of_judge"), [(["<own>"], []), ([], ["<own>"])])
def test_a_row_with_a_control_token_of_who_reads_it_is_asked_of_nobody_and_kept(
    of_solver: list[str], of_judge: list[str], tmp_path: Path
) -> None:
    solver = ScriptedTeacher(lambda _: answer("Paris"), control_tokens=of_solver)
    judge = ScriptedTeacher(lambda _: ratings(), control_tokens=of_judge)
    odd = question(question="What is the capital of <own>?")
    with CompletionLog(tmp_path / "log") as log, CompletionLog(tmp_path / "judge") as judge_log:
        desks = {Role.SOLVER: Desk(solver, log), Role.JUDGE: Desk(judge, judge_log)}
        works = enrich([odd, question()], solver, SolverKnobs(), Judge(judge))
        refused, row = converse(works, desks, Usage())

    assert isinstance(refused, Rejection)
    assert (refused.gate, refused.reason) == ("enrichment", "control token")
    assert refused.row["question"] == odd.question
    assert isinstance(row, EnrichedExample)
    asked = [m.content for r in (*solver.requests, *judge.requests) for m in r.messages]
    assert not any("<own>" in content for content in asked)
