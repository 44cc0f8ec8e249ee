"""The solver rewrites its thought as a clean explanation, which becomes the row's reasoning.

A raw thought is no training text: it doubts, starts over, and speaks to itself. The setting
`SDG_REASONING=condensed` has the thought behind a verified answer condensed by the model that had
it. If the explanation is refused, the row keeps the steps of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sdg_assets.answers.labels import spelled_out
from sdg_assets.enrichment.ballot import Ballot
from sdg_assets.enrichment.base import Enrichment, EnrichmentContext
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import AnswerKind, EnrichedExample, JudgeApi, Role
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import FAULTS, Completion, Sampling, TeacherIdentity

CONDENSE = Prompt("condense")

# English patterns: models think aloud in English in any language.
_THINKS_ALOUD = re.compile(
    r"\b(?:hmm+|wait,|let me (?:think|check|see|re-?read|double-check)|okay, so|so, the user|"
    r"the user (?:is|wants|asks|asked)|i (?:think|should|need to|wonder)|on second thought)\b"
    r"|\bthe thoughts?\b",
    re.IGNORECASE,
)


def best_thought(agreeing: Iterable[Ballot], knobs: SolverKnobs) -> str:
    """The thought behind one of the votes, which is condensed or kept; empty if none is wanted.

    It is the shortest of the longer half: complete, but without padding. Labels of written
    choices ("B") are replaced by the choices' texts, because each vote had its own order of
    choices; a thought with an ambiguous label is left out.

    Args:
        agreeing: The ballots that agree with the row's answer.
        knobs: Whether thoughts are condensed or kept.
    """
    if knobs.reasoning != "condensed" and not knobs.keep_thoughts:
        return ""
    thoughts = sorted(filter(None, map(_thought, agreeing)), key=len)
    return thoughts[len(thoughts) // 2] if thoughts else ""


def _thought(ballot: Ballot) -> str | None:
    text, asked = ballot.completion.reasoning, ballot.presented
    # Given labels are named by their words, as in a trace: an "(A)" is part of the labelled text.
    if not asked.answer_kind.policy.choices_are_written:
        return text
    return spelled_out(text, asked.choices)


class Condensed(Enrichment):
    """Has the thought condensed, if the settings ask for it."""

    name = "condensed"
    role = Role.SOLVER
    columns = frozenset({"reasoning", "reasoning_from", "reasoning_fault"})
    trained = ("reasoning",)

    def prompts(self, kind: AnswerKind, judge_api: JudgeApi) -> tuple[Prompt, ...]:
        """One prompt for all kinds whose rows have reasoning."""
        del judge_api
        return (CONDENSE,) if kind.policy.keeps_trace else ()

    def is_wanted(self, row: EnrichedExample, context: EnrichmentContext) -> bool:
        """Every row whose solver thought, if thoughts are to be condensed."""
        is_set = context.knobs.reasoning == "condensed"
        return is_set and bool(row.thought) and row.answer_kind.policy.keeps_trace

    def ask(self, row: EnrichedExample, context: EnrichmentContext) -> Work[Mapping[str, Any]]:
        """Makes one request."""
        values = {
            "context": row.context,
            "question": row.question,
            "choices": row.choices,
            "answer": row.answer,
            "thought": row.thought,
        }
        solver = context.teachers[self.role].identity
        sampling = _sampling(solver, context.knobs)
        (completion,) = yield [context.request(self.role, CONDENSE, values, sampling)]
        if fault := _fault(completion, row):
            return {"reasoning_fault": fault}
        return {"reasoning": completion.text.strip(), "reasoning_from": "condensed"}

    def without(self, added: Mapping[str, Any], field: str, reason: str) -> Mapping[str, Any]:
        """The row keeps the steps of the answer."""
        return {"reasoning_fault": reason}

    def numbers(self, added: Mapping[str, Any]) -> Mapping[str, float]:
        """`condensed_written`, or `condensed_` and the reason why the explanation was dropped."""
        return {f"condensed_{added.get('reasoning_fault', 'written').replace(' ', '_')}": 1}


def _sampling(solver: TeacherIdentity, knobs: SolverKnobs) -> Sampling:
    """Without another thought, if the model can answer without one."""
    if solver.thinking and "off" in solver.thinking.modes:
        knobs = replace(knobs, thinking="off")
    return knobs.sampling(solver, sample=0)


def _fault(completion: Completion, row: EnrichedExample) -> str:
    """Why an explanation is dropped; empty if it is kept."""
    if fault := FAULTS.get(completion.finish_reason):
        return fault
    text = completion.text.strip()
    if not text:
        return "empty"
    thinks_aloud = text == row.thought.strip() or _THINKS_ALOUD.search(text)
    return "thinks aloud" if thinks_aloud else ""


ENRICHMENT = Condensed()
