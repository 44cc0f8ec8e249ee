"""Stage 4: answer blind, vote, keep the best trace, write the background.

The solver never sees the writer's answer (as in the method: question writer and solver are
different calls). Verification and reasoning are one batch: the best trace that agrees is the
reasoning. Only verified rows get a background written.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sdg_assets.answers import answer_format
from sdg_assets.answers.extraction import normalized
from sdg_assets.answers.labels import spelled_out
from sdg_assets.examples import AnswerKind, EnrichedExample, Example, GeneratedExample, Role, Vote
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
    """One vote: what the solver said, the answer found in it, and the question as it was shown."""

    answer: str | None
    completion: Completion
    shown: Example


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
    for wave in _waves(knobs):
        asked = [_vote_request(example, number, solver, knobs) for number in wave]
        # One prompt that is too long would fail the engine's whole batch.
        if any(not _fits(request, solver) for _, request in asked):
            break
        completions = yield [request for _, request in asked]
        for (shown, _), completion in zip(asked, completions, strict=True):
            whole = completion.finish_reason == "stop"
            kind = answer_format(example.answer_kind)
            answer = kind.extract(completion.text, shown) if whole else None
            ballots.append(Ballot(answer, completion, shown))
        if _decided(example, ballots, knobs):
            break
    groups = tally(example, [b.answer for b in ballots])
    outcome = decide(example, groups, knobs.votes, knobs.majority)
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
        vote_share=len(agreeing) / len(ballots) if ballots else 0.0,
        outcome=outcome,
        solver=solver.identity.stamp,
    )


def _waves(knobs: SolverKnobs) -> list[range]:
    """The fewest votes that can be a majority, then one by one: most rows need only the first."""
    first = min(knobs.votes, math.floor(knobs.majority * knobs.votes) + 1)
    return [range(first), *(range(n, n + 1) for n in range(first, knobs.votes))]


def _decided(example: GeneratedExample, ballots: list[Ballot], knobs: SolverKnobs) -> bool:
    """Whether all votes that were planned would decide as the ones that were cast.

    They would once the largest group has its majority and no other can reach it, or once there is
    an answer and none can get a majority. Shares are of the planned votes throughout.
    """
    counts = [count for _, count in tally(example, [b.answer for b in ballots])]
    best, second, *_ = [*counts, 0, 0]
    needed = knobs.majority * knobs.votes
    left = knobs.votes - len(ballots)
    won = best > needed and best > second + left
    lost = best > 0 and best + left <= needed
    return won or lost or not left


def tally(example: GeneratedExample, answers: Iterable[str | None]) -> list[tuple[str, int]]:
    """Groups answers that mean the same.

    Args:
        example: The question they answer.
        answers: Extracted answers; None where a vote held none.

    Returns:
        (representative, count), most votes first; the first vote's wording stands for its group.
    """
    kind = answer_format(example.answer_kind)
    groups = [(example.answer, 0)]
    for answer in answers:
        if answer is None:
            continue
        for place, (representative, count) in enumerate(groups):
            if kind.same(answer, representative, example):
                groups[place] = (representative, count + 1)
                break
        else:
            groups.append((answer, 1))
    return sorted((group for group in groups if group[1]), key=lambda group: -group[1])


def decide(
    example: GeneratedExample, groups: list[tuple[str, int]], votes: int, majority: float
) -> Outcome:
    """What the votes say about the writer's answer.

    Args:
        example: The question.
        groups: From `tally`.
        votes: Votes planned. One that held no answer, or was not cast as it could change nothing,
            counts for nobody.
        majority: The share of the votes planned that must be exceeded.
    """
    if not groups:
        return "unsolvable"
    (answer, count), *others = groups
    if count <= majority * votes or (others and others[0][1] == count):
        return "no_majority"
    kind = answer_format(example.answer_kind)
    return "agreed" if kind.same(answer, example.answer, example) else "majority_disagrees"


def best_trace(agreeing: list[Ballot]) -> str:
    """The shortest trace of the longer half: complete, without padding.

    A trace that speaks of options by a label counts with their texts in its place, for the label
    meant the order of its vote. One whose label may mean several things does not count.
    """
    traces = sorted(filter(None, map(_trace, agreeing)), key=len)
    return traces[len(traces) // 2] if traces else ""


def _trace(ballot: Ballot) -> str | None:
    text = ballot.completion.text.strip()
    if ballot.completion.finish_reason != "stop":
        return None
    return spelled_out(text, ballot.shown.choices) if ballot.shown.choices else text


def _fits(request: Request, solver: Teacher) -> bool:
    length = solver.count_tokens(request.messages) + request.sampling.max_tokens
    return length <= solver.max_model_len


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
