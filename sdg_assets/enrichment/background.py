"""The background that a learner reads before a question: written for verified rows only.

In the method's ablation the variant with context gave the gain. A background that gives the answer
away at once, or only repeats the question, teaches nothing and is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sdg_assets.answers.wording import normalized, tokens, typography
from sdg_assets.enrichment.base import Enrichment, EnrichmentContext
from sdg_assets.enrichment.knobs import JudgeApi, SolverKnobs
from sdg_assets.gates import Gate, text_refusals
from sdg_assets.records import AnswerKind, EnrichedExample, Example, Role
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import (
    Completion,
    Request,
    Sampling,
    Teacher,
    build_request,
    fits,
)

ATTEMPTS = 2
SHINGLE = 3
COPY_OF_QUESTION = 0.5
COPY_OF_PASSAGE = 0.9
"""Shares of word trigrams. Evidence quotes the passage, so only a whole copy of it counts."""

# English, as small models fall into it whatever the language: "The background explains that the
# question asks for the smallest planet".
_SPEAKS_OF_ITSELF = re.compile(
    r"\bthe\s+(?:given\s+)?question\s+(?:asks?|is|requires|mentions|wants|specifically)\b"
    r"|\b(?:the|these)\s+(?:given\s+)?options\s+(?:are|given|above|listed|include|provided)\b"
    r"|\b(?:the|this)\s+background\s+(?:provides|explains|gives|includes|also)\b"
    r"|\b(?:in|to\s+(?:solve|understand|answer))\s+this\s+(?:problem|question|exercise)\b"
    r"|\b(?:answer\s+choices|let(?:'|’)s\s+(?:calculate|do\s+the|break|work))\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”»)\]]*\s+|[。！？।]|\n")


def prompt(kind: AnswerKind) -> Prompt:
    """The prompt that asks for the background of a question of this kind."""
    return Prompt(f"knowledge/{kind.value}")


def knowledge_request(
    example: Example, attempt: int, solver: Teacher, knobs: SolverKnobs
) -> Request:
    """Asks for the background of a question whose answer is verified.

    Args:
        example: The question with its answer.
        attempt: From 0; each draws anew.
        solver: Who is asked.
        knobs: Temperature and length.
    """
    asked = prompt(example.answer_kind)
    messages = asked.render(
        context=example.context,
        question=example.question,
        choices=example.choices,
        tests=example.tests,
        answer=example.answer,
    )
    sampling = Sampling(
        temperature=knobs.temperature, max_tokens=knobs.knowledge_max_tokens, sample=attempt
    )
    return build_request(solver.identity, Role.SOLVER, asked.version, messages, sampling)


def knowledge_of(completion: Completion) -> str:
    """The background in a completion, without a heading that announces it."""
    text = completion.text.strip()
    return re.sub(r"^[#*\s]*(?:background|context|knowledge)\s*:?[*\s]*\n+", "", text, flags=re.I)


def knowledge_fault(completion: Completion, example: Example, gates: Sequence[Gate]) -> str:
    """Why a background is not worth keeping; empty if it is.

    Args:
        completion: What the solver wrote.
        example: The question it is for.
        gates: `gates.text_gates`, which it must pass like the row itself.

    Returns:
        `truncated`, `filtered by the server`, `empty`, `copy of the question`, `copy of the
        passage`, `speaks of the question`, `gives the answer away`, or the reason of a gate.
    """
    text = knowledge_of(completion)
    if completion.finish_reason == "content_filter":
        return "filtered by the server"
    if completion.finish_reason != "stop":
        return "truncated"
    if not text:
        return "empty"
    asked = normalized(example.question, example.language)
    repeats = f" {asked} " in f" {normalized(text, example.language)} "
    if repeats or _copied(text, example.question, example.language) > COPY_OF_QUESTION:
        return "copy of the question"
    if example.context and _copied(text, example.context, example.language) > COPY_OF_PASSAGE:
        return "copy of the passage"
    if _SPEAKS_OF_ITSELF.search(text):
        return "speaks of the question"
    if _gives_away(text, example):
        return "gives the answer away"
    refusal = text_refusals([text], example, gates).get(0)
    return refusal.reason.removeprefix("context ") if refusal else ""


def _copied(text: str, source: str, language: str) -> float:
    """Share of the text's word trigrams that stand in the source."""
    mine, theirs = _shingles(text, language), _shingles(source, language)
    return len(mine & theirs) / len(mine) if mine else 0.0


def _shingles(text: str, language: str) -> set[tuple[str, ...]]:
    words = [m[0] for m in tokens(normalized(text, language))]
    return {tuple(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}


def _gives_away(text: str, example: Example) -> bool:
    """Whether the first sentence states the answer; of a calculation, whether any does.

    A word of the question itself is no news, nor is one that every text may hold: yes, no, a digit.
    """
    allowed = example.answer_kind.policy.answer_in_background
    if allowed == "anywhere":
        return False
    answer = normalized(example.answer, example.language)
    shown = typography(text)
    if allowed == "after_first_sentence":
        shown = _SENTENCE_END.split(shown, maxsplit=1)[0]
    shown = normalized(shown, example.language)
    asked = normalized(example.question, example.language)
    if len(answer) < 2 or f" {answer} " in f" {asked} ":
        return False
    return f" {answer} " in f" {shown} "


class Background(Enrichment):
    """Writes the background, and a second one where the first is not worth keeping."""

    name = "background"
    role = Role.SOLVER
    columns = frozenset({"knowledge", "knowledge_fault"})
    trained = ("knowledge",)

    def prompts(self, kind: AnswerKind, judge_api: JudgeApi) -> tuple[Prompt, ...]:
        """One for each answer kind."""
        del judge_api
        return (prompt(kind),)

    def is_wanted(self, row: EnrichedExample, context: EnrichmentContext) -> bool:
        """Unless backgrounds are switched off."""
        del row
        return context.knobs.with_knowledge

    def ask(self, row: EnrichedExample, context: EnrichmentContext) -> Work[Mapping[str, Any]]:
        """Asks up to `ATTEMPTS` times. A row that does not fit the solver is not asked about."""
        solver = context.teachers[Role.SOLVER]
        added: dict[str, Any] = {}
        for attempt in range(ATTEMPTS):
            request = knowledge_request(row, attempt, solver, context.knobs)
            if not fits(request, solver):
                break
            (completion,) = yield [request]
            fault = knowledge_fault(completion, row, context.gates)
            added["knowledge"] = "" if fault else knowledge_of(completion)
            added["knowledge_fault"] = fault
            if not fault:
                break
        return added

    def numbers(self, added: Mapping[str, Any]) -> Mapping[str, float]:
        """`knowledge_written`, or `knowledge_` and why the background that came was not kept."""
        if not added:
            return {}
        return {f"knowledge_{(added['knowledge_fault'] or 'written').replace(' ', '_')}": 1}


ENRICHMENT = Background()
