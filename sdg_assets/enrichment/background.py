"""The background that a learner reads before a question; written for verified rows only.

In the method's ablation, the gain came from the variant with context. A background that states the
answer at once, or only repeats the question, teaches nothing and is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

from sdg_assets.answers.markers import Marker
from sdg_assets.answers.wording import normalized, typography
from sdg_assets.enrichment.base import Enrichment, EnrichmentContext
from sdg_assets.enrichment.grounding import (
    NO_PASSAGE,
    background_prompt,
    fault_of,
    grounding_prompts,
    passages_for,
    prompt_values,
    support,
)
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import (
    AnswerKind,
    CitedPassage,
    EnrichedExample,
    Example,
    JudgeApi,
    Passage,
    Role,
)
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.lengths import LENGTHS
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import (
    FAULTS,
    Completion,
    Request,
    TeacherFacts,
    build_request,
)

ATTEMPTS = 2
COPY_OF_QUESTION = 0.5
COPY_OF_PASSAGE = 0.9
"""Shares of word trigrams. Evidence quotes the passage, so only a nearly full copy is refused."""

# English patterns, because small models fall into English in any language: "The background explains
# that the question asks for the smallest planet". Of 75 backgrounds of a 1.5B model, 9 spoke of
# their question in words that the first patterns did not have.
_SPEAKS_OF_ITSELF = Marker(
    words={"en": ("question", "option", "answer", "background", "problem", "exercise", "let", "!")},
    patterns={
        "en": r"\bthe\s+(?:given\s+)?question\s+(?:then\s+)?"
        r"(?:asks?|is|requires|mentions|wants|specifically|specifies|revolves)\b"
        r"|\b(?:the|these)\s+(?:given\s+)?options\s+(?:are|given|above|listed|include|provided)\b"
        r"|\bthe\s+other\s+options\b|\bthe\s+(?:correct|right)\s+(?:answer|option)\b|\bthe\s+answer\s+is\b"
        r"|\b(?:the|this)\s+background\s+(?:provides|explains|gives|includes|also|information)\b"
        r"|\bthe\s+background\s+(?:(?:for|on|of|to)\s+this\s+(?:question|problem)|that\s+you)\b"
        r"|\A\W*(?:certainly|sure|of\s+course)\W*!"
        r"|\b(?:in|to\s+(?:solve|understand|answer))\s+this\s+(?:problem|question|exercise)\b"
        r"|\b(?:answer\s+choices|let(?:'|’)s\s+(?:calculate|do\s+the|break|work))\b"
    },
)
_SPEAKS_OF_A_PASSAGE = Marker(
    words={"en": ("passage",)},
    patterns={
        "en": r"\bthe\s+passages?\s+(?:also\s+)?"
        r"(?:describes?|explains?|gives?|implies|imply|mentions?|provides?|says?|states?)\b"
    },
)
"""For rows without a passage: a learner sees none."""
_HEADING = re.compile(r"^[#*\s]*(?:background|context|knowledge)\s*:?[*\s]*\n+", re.IGNORECASE)
_BEGINS_WITH_A_VERDICT = re.compile(r"\W*(?:yes|no|true|false)\s*[,.:;!–—]", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”»)\]]*\s+|[。！？।]|\n")


def prompt(kind: AnswerKind) -> Prompt:
    """The prompt for the background of a question of this kind."""
    return Prompt(f"knowledge/{kind.value}")


def knowledge_request(
    example: Example,
    attempt: int,
    solver: TeacherFacts,
    knobs: SolverKnobs,
    passages: Sequence[Passage] = (),
) -> Request:
    """The request for the background of a question whose answer is verified.

    Args:
        example: The question with its answer.
        attempt: The attempt's number, from 0; each one is a new sample.
        solver: The solver's teacher.
        knobs: Temperature and length.
        passages: What it is written from; none: from the solver's memory.
    """
    values: dict[str, Any] = {
        "context": example.context,
        "question": example.question,
        "choices": example.choices,
        "tests": example.tests,
        "answer": example.answer,
    }
    teacher_class = solver.identity.teacher_class
    longest = knobs.knowledge_max_tokens or LENGTHS[teacher_class].background
    sampling = knobs.sampling(solver.identity, attempt, longest)
    template = prompt(example.answer_kind)
    if passages:
        template = background_prompt(example.answer_kind)
        values |= prompt_values(passages)
    worded = template.worded_for(teacher_class)
    return build_request(solver.identity, Role.SOLVER, worded, values, sampling)


def knowledge_of(completion: Completion) -> str:
    """The background in a completion, without its heading ("Background:")."""
    return _HEADING.sub("", completion.text.strip())


def knowledge_fault(completion: Completion, example: Example) -> str:
    """Why a background must be dropped; empty if it is kept.

    Args:
        completion: The solver's completion.
        example: The question that it was written for.

    Returns:
        One of `FAULTS`, `empty`, `copy of the question`, `copy of the passage`, `speaks of the
        question`, `speaks of a passage` or `gives the answer away`.
    """
    text = knowledge_of(completion)
    if fault := FAULTS.get(completion.finish_reason):
        return fault
    if not text:
        return "empty"
    question = normalized(example.question, example.language)
    written = normalized(text, example.language)
    own = _trigrams(written)
    if f" {question} " in f" {written} " or _shared(own, question) > COPY_OF_QUESTION:
        return "copy of the question"
    passage = normalized(example.context, example.language) if example.context else ""
    if passage and _shared(own, passage) > COPY_OF_PASSAGE:
        return "copy of the passage"
    if _SPEAKS_OF_ITSELF.is_in(text):
        return "speaks of the question"
    if not example.context and _SPEAKS_OF_A_PASSAGE.is_in(text):
        return "speaks of a passage"
    return "gives the answer away" if _gives_away(text, example) else ""


def _shared(own: Set[str], source: str) -> float:
    """The share of a text's word trigrams that occur in the source, which is `normalized`."""
    # A passage has far more trigrams than a background, so none are made of it.
    enclosed = f" {source} "
    return sum(trigram in enclosed for trigram in own) / len(own)


def _trigrams(folded: str) -> Set[str]:
    """The word trigrams of a `normalized` text, between blanks; a shorter text is one."""
    words = folded.split()
    triples = zip(words, words[1:], words[2:], strict=False)
    return {f" {one} {two} {three} " for one, two, three in triples} or {f" {folded} "}


def _gives_away(text: str, example: Example) -> bool:
    """Whether the first sentence states the answer; in a calculation, whether any sentence does.

    An answer that the question contains gives nothing away, nor does one that any text may contain:
    yes, no, a digit; but no background may begin with "Yes,".
    """
    if _BEGINS_WITH_A_VERDICT.match(text):
        return True
    allowed = example.answer_kind.policy.answer_in_background
    if allowed == "anywhere":
        return False
    answer = normalized(example.answer, example.language)
    searched = typography(text)
    if allowed == "after_first_sentence":
        searched = _SENTENCE_END.split(searched, maxsplit=1)[0]
    searched = normalized(searched, example.language)
    question = normalized(example.question, example.language)
    if len(answer) < 2 or f" {answer} " in f" {question} ":
        return False
    return f" {answer} " in f" {searched} "


class Background(Enrichment):
    """Has the background written, and a second one if the first must be dropped."""

    name = "background"
    role = Role.SOLVER
    columns = frozenset({"knowledge", "knowledge_fault", "passages"})
    trained = ("knowledge",)

    def prompts(self, kind: AnswerKind, judge_api: JudgeApi) -> tuple[Prompt, ...]:
        """One prompt per answer kind."""
        del judge_api
        return (prompt(kind),)

    def prompts_in(self, kind: AnswerKind, context: EnrichmentContext) -> list[tuple[Role, Prompt]]:
        """With passages, also those of `grounding`."""
        return [*super().prompts_in(kind, context), *grounding_prompts(kind, context)]

    def is_wanted(self, row: EnrichedExample, context: EnrichmentContext) -> bool:
        """Every row, unless backgrounds are switched off."""
        del row
        return context.knobs.with_knowledge

    def ask(self, row: EnrichedExample, context: EnrichmentContext) -> Work[Mapping[str, Any]]:
        """Makes up to `ATTEMPTS` requests; a single one if the row does not fit the solver.

        A background that only a gate refuses is not written again: gates run later, in batches.
        With passages it is written from those that the question is about, if there are any.
        """
        solver, passages = context.teachers[Role.SOLVER], passages_for(row, context)
        if passages == []:
            return {"knowledge": "", "knowledge_fault": NO_PASSAGE}
        added: dict[str, Any] = {}
        for attempt in range(ATTEMPTS):
            request = knowledge_request(row, attempt, solver, context.knobs, passages or ())
            (completion,) = yield [request]
            fault = knowledge_fault(completion, row)
            if passages and not fault:
                checked = yield from support(knowledge_of(completion), row, passages, context)
                fault = fault_of(checked)
                added["passages"] = [] if fault else [CitedPassage.of(each) for each in passages]
            added["knowledge"] = "" if fault else knowledge_of(completion)
            added["knowledge_fault"] = fault
            if not fault or completion.finish_reason == "too_long":
                break
        return added

    def without(self, added: Mapping[str, Any], field: str, reason: str) -> Mapping[str, Any]:
        """No background, and why."""
        changes = {field: "", "knowledge_fault": reason}
        return {**added, **changes, "passages": []} if "passages" in added else {**added, **changes}

    def numbers(self, added: Mapping[str, Any]) -> Mapping[str, float]:
        """`knowledge_written`, or `knowledge_` and the reason why the background was dropped."""
        if not added:
            return {}
        return {f"knowledge_{(added['knowledge_fault'] or 'written').replace(' ', '_')}": 1}


ENRICHMENT = Background()
