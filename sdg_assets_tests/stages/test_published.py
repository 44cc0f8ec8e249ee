from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.processes import pool as pools
from sdg_assets.processes.pool import Pool
from sdg_assets.records import EnrichedExample, Example, GeneratedExample, Rejection, Role
from sdg_assets.stages import published
from sdg_assets.stages.enriched import EnrichmentReport
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.published import solved_rows, warm_up, written_rows
from sdg_assets.stages.seed_index import SeedsById
from sdg_assets.store.row_file import RowFile
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Request
from sdg_assets.thresholds import DEFAULTS
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.conversations import enriched_with, written_by
from sdg_assets_tests.support.records import example
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, ratings
from sdg_assets_tests.support.solvers import answer, is_background, question

SPEC = seed_task().resolve("quiz")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2, warm_up) as two:
        two.prepare(pools.PAYS_FROM)
        time.sleep(1)
        yield two


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes take part although there are few rows."""
    monkeypatch.setattr(published, "ROWS_PER_BATCH", 4)
    monkeypatch.setattr(pools, "PAYS_FROM", 1)


def test_drafts_become_the_same_rows_with_any_number_of_processes(
    pool: Pool, tmp_path: Path
) -> None:
    numbers = count()

    def draft(_: Request) -> str:
        if (number := next(numbers)) % 7 == 3:
            return "I'm sorry, I cannot do that."
        wrong = ["Rhine", "Volga", "Po"]
        asked = f"Which river has the number {number} in the long list?"
        return json.dumps({"question": asked, "answer": "Nile", "wrong_answers": wrong})

    seeds = RowFile(Example, [example(question=f"What is the capital of {n}?") for n in range(30)])
    odd = example(question="What is the capital of <own>?")
    seeds = RowFile(Example, [*seeds, odd])
    writer = ScriptedTeacher(draft, control_tokens=["<own>"], per_poll=8)
    knobs = WriterKnobs(examples_per_seed=2)
    with CompletionLog(tmp_path / "log") as log:
        expected = written_by(Desk(writer, log), SPEC, seeds, knobs)
        both = [
            list(
                written_rows(
                    SPEC, seeds, writer, knobs, {Role.WRITER: log.answers()}, DEFAULTS, processes
                )
            )
            for processes in (Pool(1), pool)
        ]

    assert both == [expected, expected]
    assert len(expected) == 61
    assert {type(row) for row in expected} == {GeneratedExample, Rejection}


def test_votes_become_the_same_rows_and_report_with_any_number_of_processes(
    pool: Pool, tmp_path: Path
) -> None:
    rows = [question(question=f"What is the capital of state {n}?") for n in range(40)]
    numbers = count()

    def vote(request: Request) -> str:
        if is_background(request):
            return "France is a country in the west of Europe."
        return answer("Paris" if next(numbers) % 3 else "Rome")

    solver = ScriptedTeacher(vote, per_poll=8)
    judge = Judge(ScriptedTeacher(lambda _: ratings()), seeds=SeedsById([example()]))
    knobs, expected_report = SolverKnobs(), EnrichmentReport()
    with CompletionLog(tmp_path / "log") as log, CompletionLog(tmp_path / "judge") as judge_log:
        desks = {Role.SOLVER: Desk(solver, log), Role.JUDGE: Desk(judge.teacher, judge_log)}  # type: ignore[arg-type]
        expected = enriched_with(desks, rows, knobs, judge, expected_report)
        answers = {role: desk.log.answers() for role, desk in desks.items()}
        for processes in (Pool(1), pool):
            report = EnrichmentReport()
            made = solved_rows(
                rows, len(rows), solver, knobs, judge, answers, report, DEFAULTS, processes
            )
            assert list(made) == expected
            assert report.numbers() == expected_report.numbers()

    assert {row.verified for row in expected if isinstance(row, EnrichedExample)} == {True, False}


def test_warming_up_loads_what_the_gates_need() -> None:
    warm_up()
