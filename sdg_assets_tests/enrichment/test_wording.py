"""Requests of every role are worded for the class of the teacher that answers them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from sdg_assets.enrichment.background import ENRICHMENT as BACKGROUND
from sdg_assets.enrichment.background import knowledge_request
from sdg_assets.enrichment.base import EnrichmentContext
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import AnswerKind, EnrichedExample, Role, TeacherClass
from sdg_assets.stages.prompt_versions import log_versions
from sdg_assets.teacher.conversation import Desk
from sdg_assets.teacher.lengths import LENGTHS
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Completion, Request
from sdg_assets_tests.support.conversations import enriched_with
from sdg_assets_tests.support.passages import index_of, passage
from sdg_assets_tests.support.records import generated
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion, ratings
from sdg_assets_tests.support.solvers import answer


def of_class(teacher_class: TeacherClass) -> ScriptedTeacher:
    def say(request: Request) -> str | Completion:
        kind = request.prompt_version.split("/")[0].split("@")[0].split(".")[0]
        if kind == "judge":
            return ratings()
        if kind == "knowledge":
            return "France is in Europe."
        if kind == "condense":
            return "The government of France sits in Paris."
        vote = completion(request, answer("Paris"))
        return vote.model_copy(update={"reasoning": "Hmm, Paris it is.", "reasoning_tokens": 4})

    teacher = ScriptedTeacher(say)
    teacher.identity = replace(teacher.identity, teacher_class=teacher_class)
    return teacher


@pytest.mark.parametrize("solver_class", get_args(TeacherClass))
@pytest.mark.parametrize("judge_class", get_args(TeacherClass))
def test_each_role_is_asked_in_the_words_and_lengths_for_its_own_teacher(
    solver_class: TeacherClass, judge_class: TeacherClass, tmp_path: Path
) -> None:
    solver, judging = of_class(solver_class), of_class(judge_class)
    with CompletionLog(tmp_path / "log") as log, CompletionLog(tmp_path / "judge") as judge_log:
        desks = {Role.SOLVER: Desk(solver, log), Role.JUDGE: Desk(judging, judge_log)}
        knobs = SolverKnobs(reasoning="condensed")
        (row,) = enriched_with(desks, [generated()], knobs, Judge(judging, may_be_writer=True))

    kind = AnswerKind.MULTIPLE_CHOICE
    for teacher, role in ((solver, Role.SOLVER), (judging, Role.JUDGE)):
        teacher_class = teacher.identity.teacher_class
        asked = {request.prompt_version for request in teacher.requests}
        assert asked <= set(log_versions(role, kind, "rubric", teacher_class))
        of_others = set(get_args(TeacherClass)) - {teacher_class}
        assert not any(f".{other}@" in version for version in asked for other in of_others)
    assert {version.split("@")[0].split(".")[0] for version in asked} == {"judge/rubric"}
    assert len({request.prompt_version for request in solver.requests}) == 3
    (judged,) = judging.requests
    assert judged.sampling.max_tokens == LENGTHS[judge_class].judgement
    assert isinstance(row, EnrichedExample)
    assert row.judge
    assert row.judge.prompt_version == judged.prompt_version


@pytest.mark.parametrize("kind", AnswerKind)
@pytest.mark.parametrize("teacher_class", get_args(TeacherClass))
def test_a_background_from_passages_is_asked_for_in_the_words_for_the_solver(
    kind: AnswerKind, teacher_class: TeacherClass
) -> None:
    solver, knobs = of_class(teacher_class), SolverKnobs(passages=index_of())
    declared = BACKGROUND.prompts_in(kind, EnrichmentContext({Role.SOLVER: solver}, knobs))

    request = knowledge_request(generated(answer_kind=kind), 0, solver, knobs, [passage()])

    system = request.messages[0].content
    assert (Role.SOLVER, request.prompt_version) in [(r, p.version) for r, p in declared]
    assert "Take every fact" in system
    assert ("three to six plain sentences" in system) == (teacher_class == "small")
    assert ("in its final wording" in system) == (teacher_class == "thinking")
