"""A solver that thinks: what becomes of its thoughts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import AnswerKind, EnrichedExample, Role
from sdg_assets.stages.enriched import EnrichmentReport
from sdg_assets.stages.prompt_versions import role_versions
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Completion, FinishReason, Request, TeacherIdentity
from sdg_assets.texts import render_texts
from sdg_assets_tests.support.conversations import enriched_with
from sdg_assets_tests.support.records import STAMP, generated
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion
from sdg_assets_tests.support.solvers import answer, is_background, solved
from sdg_assets_tests.support.thinkers import RECOMMENDED, SWITCHED

RAW = "Hmm, the capital. Wait, Lyon is large, but the government sits in Paris."
STEPS = "Some long thought leads there."
CLEAN = "The government of France sits in Paris, although Lyon is large as well."


class Thinker(ScriptedTeacher):
    """Votes for Paris, each time after the same thought."""

    def __init__(self, explanation: str = CLEAN, finish: FinishReason = "stop") -> None:
        super().__init__(self._say)
        self.identity = TeacherIdentity(STAMP, thinking=SWITCHED, sampling=RECOMMENDED)
        self._explanation, self._finish = explanation, finish

    def _say(self, request: Request) -> str | Completion:
        if is_background(request):
            return "France is in Europe."
        if self.condenses(request):
            return completion(request, self._explanation, self._finish)
        vote = completion(request, answer("Paris"))
        return vote.model_copy(update={"reasoning": RAW, "reasoning_tokens": 9})

    def condenses(self, request: Request) -> bool:
        return request.prompt_version.startswith("condense@")


Solve = Callable[..., EnrichedExample]


@pytest.fixture
def solve(tmp_path: Path) -> Solve:
    """The enriched row of one question."""

    def run(teacher: Thinker, report: EnrichmentReport | None = None, **knobs: Any) -> Any:
        fields = knobs.pop("row", {})
        with CompletionLog(tmp_path / "log") as log:
            settings = SolverKnobs(thinking="on", **knobs)
            desks = {Role.SOLVER: Desk(teacher, log)}
            rows = enriched_with(desks, [generated(**fields)], settings, report=report)
            (row,) = solved(rows)
        return row

    return run


def test_by_default_a_row_keeps_the_steps_of_the_answer_and_no_thought(solve: Solve) -> None:
    teacher = Thinker()
    row = solve(teacher)

    assert row.reasoning == STEPS
    assert (row.reasoning_from, row.thought) == ("answer", "")
    assert not any(map(teacher.condenses, teacher.requests))
    assert {r.sampling.thinking for r in teacher.requests} == {"on"}


def test_a_thought_is_condensed_without_thinking_again(solve: Solve) -> None:
    teacher, report = Thinker(), EnrichmentReport()
    row = solve(teacher, report, reasoning="condensed")

    assert (row.reasoning, row.reasoning_from) == (CLEAN, "condensed")
    assert row.thought == ""
    assert not any("Hmm" in text for text in render_texts(row).values())
    (asked,) = filter(teacher.condenses, teacher.requests)
    assert RAW in asked.messages[1].content
    assert "Paris" in asked.messages[1].content
    assert asked.sampling.thinking == "off"
    assert asked.sampling.temperature == RECOMMENDED.answering.temperature
    assert report.numbers()["condensed_written"] == 1


@pytest.mark.parametrize(
    ("explanation", "finish", "fault"),
    [
        (CLEAN, "length", "truncated"),
        ("", "thinking", "truncated while thinking"),
        ("", "refused", "refused by the server"),
        ("", "stop", "empty"),
        ("Wait, let me check. Paris it is.", "stop", "thinks aloud"),
        ("Die Regierung sitzt in Paris, und Lyon ist auch eine Stadt.", "stop", "language"),
    ],
)
def test_an_explanation_that_reads_badly_is_dropped_with_its_reason(
    solve: Solve, explanation: str, finish: FinishReason, fault: str
) -> None:
    report = EnrichmentReport()
    row = solve(Thinker(explanation, finish), report, reasoning="condensed")

    assert (row.reasoning, row.reasoning_from) == (STEPS, "answer")
    assert fault in row.reasoning_fault or "expected" in row.reasoning_fault
    assert "condensed_written" not in report.numbers()


def test_a_raw_thought_is_kept_only_if_asked_for_and_in_no_text(solve: Solve) -> None:
    row = solve(Thinker(), keep_thoughts=True)

    assert row.thought == RAW
    assert row.reasoning == STEPS
    assert not any("Hmm" in text for text in render_texts(row).values())


def test_a_thought_that_a_gate_refuses_is_not_kept(solve: Solve) -> None:
    teacher = Thinker()
    row = solve(teacher, keep_thoughts=True, row={"language": "de"})

    assert row.thought == ""


def test_a_thought_about_many_given_labels_is_kept_as_it_is(solve: Solve) -> None:
    labels = ["Paris", *(f"city {number}" for number in range(76))]
    teacher = Thinker()
    teacher._answer = lambda request: completion(request, answer("Paris")).model_copy(
        update={"reasoning": "The answer is (B) in the text, not option 2. So: Paris."}
    )
    row = solve(
        teacher,
        keep_thoughts=True,
        with_knowledge=False,
        row={"answer_kind": AnswerKind.LABEL, "choices": labels},
    )

    assert row.thought == "The answer is (B) in the text, not option 2. So: Paris."


def test_kinds_without_reasoning_have_nothing_condensed(solve: Solve) -> None:
    teacher = Thinker()
    prose = {"answer_kind": AnswerKind.FREE_FORM, "answer": "Paris"}
    row = solve(teacher, reasoning="condensed", row=prose)

    assert row.reasoning == ""
    assert not any(map(teacher.condenses, teacher.requests))


def test_a_vote_that_was_cut_off_while_thinking_has_no_answer(solve: Solve) -> None:
    teacher = Thinker()
    teacher._answer = lambda request: completion(request, "", "thinking")

    row = solve(teacher, with_knowledge=False)

    assert (row.outcome, row.votes) == ("truncated_while_thinking", [])


def test_a_changed_prompt_makes_the_solvers_rows_stale() -> None:
    assert any(
        version.startswith("condense.thinking@")
        for version in role_versions(Role.SOLVER, "thinking")
    )
