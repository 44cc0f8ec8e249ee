from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import EnrichedExample, Rejection, Role
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets_tests.support.conversations import enriched_with
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, ratings
from sdg_assets_tests.support.solvers import Panel, Solver, answer, enriched_by, judged_by, question


def test_nothing_is_lost_and_everything_is_carried_over(tmp_path: Path) -> None:
    rows = [question(question=f"What is the capital of state {n}?") for n in range(9)]
    solver = Solver(answer(v) for v in ["Paris", "Rome", "Madrid"] * 9)

    out = enriched_by(solver, tmp_path, *rows, votes=3)

    assert [r.id for r in out] == [r.id for r in rows]
    for before, after in zip(rows, out, strict=True):
        assert dict(before).items() <= dict(after).items()
        assert after.solver == solver.identity.stamp


def test_a_rerun_makes_no_request_and_gives_the_same_rows(tmp_path: Path) -> None:
    votes = [answer(v) for v in ["Paris", "Rome", "Paris"]]
    first = enriched_by(Solver(votes), tmp_path, votes=3)
    silent = Solver([])

    assert enriched_by(silent, tmp_path, votes=3) == first
    assert silent.requests == []


@pytest.mark.parametrize(("of_solver", "of_judge"), [(["<own>"], []), ([], ["<own>"])])
def test_a_row_with_a_control_token_of_its_reader_is_sent_to_no_teacher_and_kept(
    of_solver: list[str], of_judge: list[str], tmp_path: Path
) -> None:
    solver = ScriptedTeacher(lambda _: answer("Paris"), control_tokens=of_solver)
    judge = ScriptedTeacher(lambda _: ratings(), control_tokens=of_judge)
    odd = question(question="What is the capital of <own>?")
    with CompletionLog(tmp_path / "log") as log, CompletionLog(tmp_path / "judge") as judge_log:
        desks = {Role.SOLVER: Desk(solver, log), Role.JUDGE: Desk(judge, judge_log)}
        refused, row = enriched_with(desks, [odd, question()], SolverKnobs(), Judge(judge))

    assert isinstance(refused, Rejection)
    assert (refused.gate, refused.reason) == ("enrichment", "control token")
    assert refused.row["question"] == odd.question
    assert isinstance(row, EnrichedExample)
    contents = [m.content for r in (*solver.requests, *judge.requests) for m in r.messages]
    assert not any("<own>" in content for content in contents)


def test_the_report_says_what_stopping_early_saved(tmp_path: Path) -> None:
    _, report = judged_by(Panel([answer("Paris")] * 3), tmp_path, votes=5)

    tokens = len(answer("Paris").split())
    assert (report.voting.cast, report.voting.planned) == (3, 5)
    assert report.voting.tokens == 3 * tokens
    assert report.numbers()["vote_tokens_saved"] == 2 * tokens
    assert report.added == {"knowledge_written": 1}
