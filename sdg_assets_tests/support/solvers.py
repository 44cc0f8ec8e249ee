"""Solvers and judges with scripted answers, and rows that they enriched."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import AnswerKind, EnrichedExample, GeneratedExample, Rejection, Role
from sdg_assets.stages.enriched import EnrichmentReport
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Request
from sdg_assets_tests.support.conversations import enriched_with
from sdg_assets_tests.support.records import generated
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, ratings


class Solver(ScriptedTeacher):
    """Gives the scripted votes in order; writes a background if the request is for one."""

    def __init__(self, votes: Iterable[str], background: str = "France is in Europe.") -> None:
        self._votes: Iterator[str] = iter(votes)
        self._background = background
        super().__init__(self._say)

    def _say(self, request: Request) -> str:
        return self._background if is_background(request) else next(self._votes)

    @property
    def asked(self) -> int:
        """Number of requested votes."""
        return sum(not is_background(r) for r in self.requests)


def is_background(request: Request) -> bool:
    return request.prompt_version.startswith("knowledge/")


def answer(text: str) -> str:
    return f"Some long thought leads there.\nAnswer: {text}"


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
        desks = {Role.SOLVER: Desk(teacher, log)}
        return solved(enriched_with(desks, rows or (question(),), SolverKnobs(**knobs)))


def solved(rows: Iterable[EnrichedExample | Rejection]) -> list[EnrichedExample]:
    """The enriched rows; fails if one was refused."""
    enriched_rows = []
    for row in rows:
        assert isinstance(row, EnrichedExample), row
        enriched_rows.append(row)
    return enriched_rows


class Panel(ScriptedTeacher):
    """A solver and a judge: votes and backgrounds alternate, and all ratings are equal."""

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
        knobs_of_solver, judge = SolverKnobs(**knobs), Judge(panel)
        made = enriched_with(desks, rows or (question(),), knobs_of_solver, judge, report)
        return solved(made), report


def prose(**changes: Any) -> GeneratedExample:
    return generated(
        answer_kind=AnswerKind.FREE_FORM,
        question="Why is the sky blue?",
        answer="Air scatters short waves of light most.",
        **changes,
    )
