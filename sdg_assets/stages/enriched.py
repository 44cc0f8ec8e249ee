"""Stage 4: answer blind, vote, keep the best trace, write the background.

The solver never sees the writer's answer (as in the method: question writer and solver are
different calls). Verification and reasoning are one batch: the best trace that agrees is the
reasoning. Only verified rows get a background written.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sdg_assets.answers import answer_format
from sdg_assets.answers.extraction import normalized
from sdg_assets.examples import AnswerKind, EnrichedExample, GeneratedExample, Role, Vote
from sdg_assets.teacher import prompts
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.requests import (
    Completion,
    Request,
    Sampling,
    Teacher,
    build_request,
)

Outcome = Literal["agreed", "majority_disagrees", "no_majority", "unsolvable"]


@dataclass(frozen=True)
class SolverKnobs:
    """How often the solver answers, and what counts as a majority."""

    votes: int = 3
    majority: float = 0.5
    temperature: float = 0.7
    max_tokens: int = 512
    with_knowledge: bool = True
    knowledge_max_tokens: int = 256


@dataclass(frozen=True)
class Ballot:
    """One vote: what the solver said, and the answer found in it."""

    answer: str | None
    completion: Completion


def prompt_versions(kind: AnswerKind) -> list[str]:
    """The versions of the prompts that a row of this kind is enriched with."""
    return [prompts.version(f"solve/{kind.value}"), prompts.version("knowledge")]


def enrich(
    examples: Iterable[GeneratedExample], solver: Teacher, knobs: SolverKnobs
) -> Iterator[Work[EnrichedExample]]:
    """One piece of work for each generated example.

    Args:
        examples: Rows of `generated`.
        solver: The teacher that answers.
        knobs: Votes and lengths.

    Yields:
        Work for `converse`; its result is an `EnrichedExample` with its outcome, never a loss:
        the verification gate decides in `filtered`.
    """
    for example in examples:
        yield _enrich(example, solver, knobs)


def _enrich(
    example: GeneratedExample, solver: Teacher, knobs: SolverKnobs
) -> Work[EnrichedExample]:
    ballots: list[Ballot] = []
    for wave in _waves(knobs.votes):
        asked = [_vote_request(example, number, solver, knobs) for number in wave]
        completions = yield [request for _, request in asked]
        for (shown, _), completion in zip(asked, completions, strict=True):
            whole = completion.finish_reason == "stop"
            kind = answer_format(example.answer_kind)
            answer = kind.extract(completion.text, shown) if whole else None
            ballots.append(Ballot(answer, completion))
        if _decided(example, ballots, knobs):
            break
    groups = tally(example, [b.answer for b in ballots])
    outcome = decide(example, groups, len(ballots), knobs.majority)
    agreeing = [
        b
        for b in ballots
        if b.answer is not None
        and answer_format(example.answer_kind).same(b.answer, example.answer, example)
    ]
    knowledge = ""
    if outcome == "agreed" and knobs.with_knowledge:
        (completion,) = yield [_knowledge_request(example, solver, knobs)]
        knowledge = _knowledge(completion, example)
    return EnrichedExample(
        **dict(example),
        reasoning=best_trace(agreeing) if outcome == "agreed" else "",
        knowledge=knowledge,
        votes=[Vote(answer=answer, count=count) for answer, count in groups],
        vote_share=len(agreeing) / len(ballots),
        outcome=outcome,
        solver=solver.identity.stamp,
    )


def _waves(votes: int) -> list[range]:
    """A bare majority first, then the rest one by one: most rows are decided by the first wave."""
    first = votes // 2 + 1
    return [range(first), *(range(n, n + 1) for n in range(first, votes))]


def _decided(example: GeneratedExample, ballots: list[Ballot], knobs: SolverKnobs) -> bool:
    """Whether no further vote can change the majority."""
    groups = tally(example, [b.answer for b in ballots])
    needed = knobs.majority * knobs.votes
    left = knobs.votes - len(ballots)
    best = max((count for _, count in groups), default=0)
    return best > needed or best + left <= needed


def tally(example: GeneratedExample, answers: Iterable[str | None]) -> list[tuple[str, int]]:
    """Groups answers that mean the same.

    Args:
        example: The question they answer.
        answers: Extracted answers; None where a vote held none.

    Returns:
        (representative, count), most votes first; the writer's wording stands for its group.
    """
    kind = answer_format(example.answer_kind)
    groups: list[tuple[str, int]] = []
    for answer in answers:
        if answer is None:
            continue
        for place, (representative, count) in enumerate(groups):
            if kind.same(answer, representative, example):
                groups[place] = (representative, count + 1)
                break
        else:
            groups.append((answer, 1))
    return sorted(groups, key=lambda group: -group[1])


def decide(
    example: GeneratedExample, groups: list[tuple[str, int]], votes: int, majority: float
) -> Outcome:
    """What the votes say about the writer's answer.

    Args:
        example: The question.
        groups: From `tally`.
        votes: Votes cast, those without an answer included.
        majority: The share of votes that must be exceeded.
    """
    if not groups:
        return "unsolvable"
    answer, count = groups[0]
    if count <= majority * votes:
        return "no_majority"
    kind = answer_format(example.answer_kind)
    return "agreed" if kind.same(answer, example.answer, example) else "majority_disagrees"


def best_trace(agreeing: list[Ballot]) -> str:
    """The shortest trace of the longer half: complete, without padding."""
    traces = sorted((b.completion.text.strip() for b in agreeing), key=len)
    return traces[len(traces) // 2] if traces else ""


def _vote_request(
    example: GeneratedExample, number: int, solver: Teacher, knobs: SolverKnobs
) -> tuple[GeneratedExample, Request]:
    """The question as this vote sees it: choices in an order of its own against position bias."""
    rng = random.Random(f"{example.id}:{number}")  # noqa: S311 – repeatable, not secret
    shown = example
    if example.answer_kind.selects:
        choices = list(example.choices)
        rng.shuffle(choices)
        shown = example.model_copy(
            update={"choices": choices, "answer_index": choices.index(example.answer)}
        )
    template = f"solve/{example.answer_kind.value}"
    messages = prompts.render(
        template,
        context=shown.context,
        question=shown.question,
        choices=shown.choices,
        tests=shown.tests,
    )
    sampling = Sampling(temperature=knobs.temperature, max_tokens=knobs.max_tokens, sample=number)
    version = prompts.version(template)
    return shown, build_request(solver.identity, Role.SOLVER, version, messages, sampling)


def _knowledge_request(example: GeneratedExample, solver: Teacher, knobs: SolverKnobs) -> Request:
    messages = prompts.render(
        "knowledge", context=example.context, question=example.question, answer=example.answer
    )
    sampling = Sampling(
        temperature=knobs.temperature,
        max_tokens=knobs.knowledge_max_tokens,
    )
    version = prompts.version("knowledge")
    return build_request(solver.identity, Role.SOLVER, version, messages, sampling)


def _knowledge(completion: Completion, example: GeneratedExample) -> str:
    """The background, or nothing when it was cut off or only repeats the question."""
    text = completion.text.strip()
    if completion.finish_reason != "stop" or normalized(text) == normalized(example.question):
        return ""
    return text
