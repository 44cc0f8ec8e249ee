"""Grounds a background in passages: what it is written from, and whether its sentences are there.

The prompts belong to this module, and only `SDG_PASSAGES` brings them into the solver's version:
without passages nothing becomes stale when they change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sdg_assets.enrichment.base import EnrichmentContext
from sdg_assets.passages.support import Checked, Grounds, Verdict, checked_by_words, stands_at
from sdg_assets.records import (
    AnswerKind,
    EnrichedExample,
    Example,
    JudgeApi,
    Passage,
    Role,
    content_id,
)
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.prompts import Prompt
from sdg_assets.teacher.requests import FAULTS, Completion, Request, Sampling
from sdg_assets.teacher.sampling import sampling_of
from sdg_assets.teacher.thinking import thinks

MOST_PASSAGES = 3
NO_PASSAGE = "no passage found"
UNSUPPORTED = "not supported by its passages"
TOKENS_PER_SENTENCE, MORE_TOKENS = 20, 40
TRIES = 2
"""Of 65 answers of a 1.5B model without a temperature, one was lost in spaces within its JSON."""
SECOND_TRY = 0.5
"""Temperature of the second try."""
_PASSAGES = """
Passages:
{% for passage in passages %}
{{ passage.title }}: {{ passage.text }}

{% endfor %}
"""
_CHECK = """\
You check whether sentences are supported by passages. A sentence is supported if the passages \
say the same, or if it follows from them without any other knowledge. A sentence that adds a fact, \
a cause, a number or a comparison that the passages lack is not supported, even if it is true. For \
each sentence, in order, first give the number of the line of the passages that says the same, or \
0 if none does; then decide. Reply with one JSON object only, on one line, such as \
{"checks": [{"line": 3, "supported": true}, {"line": 0, "supported": false}]}.
=== user ===
Passages:
{% for line in lines %}
[{{ loop.index }}] {{ line }}
{% endfor %}

Sentences:
{% for sentence in sentences %}
{{ loop.index }}. {{ sentence }}
{% endfor %}
"""
CHECK = Prompt("knowledge/supported", source=_CHECK)


class SentenceCheck(BaseModel):
    """The answer about one sentence: the line comes first, so that the verdict follows from it."""

    model_config = ConfigDict(extra="forbid")

    line: int = Field(ge=0)
    supported: bool


class SentenceChecks(BaseModel):
    """The answer about all sentences, in their order."""

    model_config = ConfigDict(extra="forbid")

    checks: list[SentenceCheck]


def background_prompt(kind: AnswerKind) -> Prompt:
    """The prompt for a background from passages: the kind's own, with passages and a rule."""
    source = (
        f'{{% extends "knowledge/{kind.value}.jinja" %}}'
        "{% block rules %}Take every fact, number and name from the passages below, and state "
        "nothing that they do not say. If they say little, write little. Use your own words. "
        "{{ super() }}{% endblock %}"
        f"{{% block given %}}{{{{ super() }}}}{_PASSAGES}{{% endblock %}}"
    )
    return Prompt(f"knowledge/{kind.value}/passages", source=source)


def grounding_prompts(kind: AnswerKind, context: EnrichmentContext) -> list[tuple[Role, Prompt]]:
    """The prompts that passages bring in, with the roles that answer them; none without passages.

    Args:
        kind: The row's answer kind.
        context: The context of the partition.
    """
    if context.knobs.passages is None:
        return []
    solver_class = context.teachers[Role.SOLVER].identity.teacher_class
    written_with = background_prompt(kind).worded_for(solver_class)
    return [(Role.SOLVER, written_with), (_reader(context), CHECK)]


def grounding_version() -> str:
    """Changes when a prompt for backgrounds from passages does."""
    versions = [background_prompt(kind).version for kind in AnswerKind]
    return content_id([*versions, CHECK.version])[:8]


def passages_for(row: Example, context: EnrichmentContext) -> list[Passage] | None:
    """The passages that a row's background is written from; None without `SDG_PASSAGES`.

    Passages with a control token of the solver or the judge are left out.

    Args:
        row: The row.
        context: The context of the partition.
    """
    index = context.knobs.passages
    if index is None:
        return None
    # The names of given labels (yes, entailment) are in no passage.
    answer = "" if row.answer_kind.policy.choices_are_given else row.answer
    readers = [teacher.control_tokens for teacher in context.teachers.values()]
    return [
        passage
        for passage in index.search(f"{row.question}\n{answer}", MOST_PASSAGES)
        if not any(tokens.within(f"{passage.title}\n{passage.text}") for tokens in readers)
    ]


def prompt_values(passages: Sequence[Passage]) -> dict[str, Any]:
    """The passages as values of a prompt."""
    return {"passages": [{"title": each.title, "text": each.text} for each in passages]}


def support(
    background: str, row: EnrichedExample, passages: Sequence[Passage], context: EnrichmentContext
) -> Work[list[Checked]]:
    """Finds out whether passages support each sentence of a background.

    Words decide what is certain. The judge reads the rest, or the solver if no judge can be asked:
    one request for all sentences, and a second one if its answer cannot be read. Its verdict counts
    only if the line that it names has words of the sentence.

    Args:
        background: The background.
        row: The row that it was written for. Its own context counts as a passage.
        passages: The passages that it was written from.
        context: The context of the partition.

    Returns:
        The sentences, each supported or unsupported, or still uncertain if the answers about them
        were cut off.
    """
    grounds = grounds_of(row, passages)
    checked = checked_by_words(background, grounds)
    uncertain = [each.sentence for each in checked if each.verdict is Verdict.UNCERTAIN]
    if not uncertain:
        return checked
    checks, fault = list[SentenceCheck](), ""
    for attempt in range(TRIES):
        (completion,) = yield [check_request(uncertain, grounds, context, attempt)]
        if checks := read_checks(completion, len(uncertain)):
            break
        fault = FAULTS.get(completion.finish_reason, "")
    if fault and not checks:
        cut_off = f"check {fault}"
        return [
            replace(c, reason=cut_off) if c.verdict is Verdict.UNCERTAIN else c for c in checked
        ]
    verdicts = iter(verdicts_of(checks, uncertain, grounds))
    return [next(verdicts) if each.verdict is Verdict.UNCERTAIN else each for each in checked]


def fault_of(checked: Sequence[Checked]) -> str:
    """Why a background with these sentences must be dropped; empty if it is kept.

    Args:
        checked: From `support`. A sentence that is still uncertain says nothing against the
            background, but without a check it cannot be kept: `check truncated`, for example.
    """
    if any(each.verdict is Verdict.UNSUPPORTED for each in checked):
        return UNSUPPORTED
    return next((each.reason for each in checked if each.verdict is Verdict.UNCERTAIN), "")


def grounds_of(row: Example, passages: Sequence[Passage]) -> Grounds:
    """What a row's background may rest on."""
    texts = [f"{each.title}\n{each.text}" for each in passages]
    asked = "\n".join([row.question, *row.choices, row.answer])
    own = [f"\n{row.context}"] if row.context else []
    return Grounds((*texts, *own), asked, row.language)


def check_request(
    sentences: Sequence[str], grounds: Grounds, context: EnrichmentContext, attempt: int
) -> Request:
    """Asks which sentences the passages support; attempts are counted from 0."""
    role = _reader(context)
    identity, mode = context.teachers[role].identity, context.thinking.get(role, "")
    longest = MORE_TOKENS + TOKENS_PER_SENTENCE * len(sentences)
    sampling = sampling_of(
        identity,
        thinking=mode,
        temperature=None if thinks(identity.thinking, mode) else SECOND_TRY * attempt,
        otherwise=Sampling(temperature=0.0, top_p=1.0, max_tokens=longest),
        sample=attempt,
    )
    values = {"lines": grounds.lines, "sentences": list(sentences)}
    return context.request(role, CHECK, values, sampling, _schema(len(sentences)))


def read_checks(completion: Completion, count: int) -> list[SentenceCheck]:
    """The checks in an answer about so many sentences; empty if it cannot be read."""
    try:
        checks = SentenceChecks.model_validate_json(completion.text.strip()).checks
    except ValidationError:
        return []
    return checks if len(checks) == count else []


def verdicts_of(
    checks: Sequence[SentenceCheck], sentences: Sequence[str], grounds: Grounds
) -> list[Checked]:
    """The verdicts on sentences; without checks none of them counts as supported."""
    if not checks:
        return [Checked(each, Verdict.UNSUPPORTED, "unreadable check") for each in sentences]
    return [
        _verdict(sentence, check, grounds)
        for sentence, check in zip(sentences, checks, strict=True)
    ]


def _verdict(sentence: str, check: SentenceCheck, grounds: Grounds) -> Checked:
    if not check.supported:
        return Checked(sentence, Verdict.UNSUPPORTED, "the reader finds no support")
    if not stands_at(sentence, check.line, grounds):
        return Checked(sentence, Verdict.UNSUPPORTED, f"line {check.line} says something else")
    return Checked(sentence, Verdict.SUPPORTED, f"the reader: line {check.line}")


def reader_of(*, is_judged: bool, judge_api: JudgeApi) -> Role:
    """Who reads what words cannot decide: the judge, unless there is none or it only scores.

    Args:
        is_judged: Whether there is a judge.
        judge_api: What the judge answers.
    """
    return Role.JUDGE if is_judged and judge_api == "rubric" else Role.SOLVER


def _reader(context: EnrichmentContext) -> Role:
    return reader_of(is_judged=Role.JUDGE in context.teachers, judge_api=context.judge_api)


def _schema(count: int) -> dict[str, Any]:
    """The schema of an answer about so many sentences."""
    schema = SentenceChecks.model_json_schema()
    schema["properties"]["checks"] |= {"minItems": count, "maxItems": count}
    return schema
