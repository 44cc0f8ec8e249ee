"""Blind votes: asking, counting, deciding, and picking the trace that is worth keeping.

The solver sees the question and never the writer's answer, as in the method, where question writer
and solver are different calls. Voting is adaptive: it stops as soon as the votes that are left
could change nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sdg_assets.answers import answer_format
from sdg_assets.answers.labels import spelled_out
from sdg_assets.answers.selection import arranged
from sdg_assets.enrichment.comparison import ComparedAnswers
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.gates import Gate, text_refusals
from sdg_assets.records import AnswerKind, Example, GeneratedExample, Role
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

Outcome = Literal["agreed", "majority_disagrees", "no_majority", "unsolvable"]
Same = Callable[[str, str], bool]
Groups = list[tuple[str, int]]


def prompts(kind: AnswerKind) -> tuple[Prompt, ...]:
    """The prompts that a vote on a question of this kind may be asked with."""
    return (Prompt(f"solve/{kind.value}"),)


@dataclass(frozen=True)
class Ballot:
    """One vote: what the solver said, the answer found in it, and the question as it was shown."""

    answer: str | None
    completion: Completion
    shown: Example


@dataclass
class VotingReport:
    """What voting cost, and what it would have cost without stopping early."""

    planned: int = 0
    cast: int = 0
    tokens: int = 0

    def count(self, ballots: Sequence[Ballot], planned: int) -> None:
        """Adds the votes on one row."""
        self.planned += planned
        self.cast += len(ballots)
        self.tokens += sum(b.completion.output_tokens for b in ballots)

    @property
    def tokens_saved(self) -> int:
        """Output tokens of the votes not cast, each taken to be as long as one that was."""
        return round(self.tokens / self.cast * (self.planned - self.cast)) if self.cast else 0


def waves(knobs: SolverKnobs) -> list[range]:
    """The numbers of the votes to ask for together.

    First the fewest that can be a majority, then one by one: most rows need only the first wave.
    """
    if not knobs.adaptive:
        return [range(knobs.votes)]
    first = min(knobs.votes, math.floor(knobs.majority * knobs.votes) + 1)
    return [range(first), *(range(n, n + 1) for n in range(first, knobs.votes))]


def vote_request(
    example: GeneratedExample, number: int, solver: Teacher, knobs: SolverKnobs
) -> tuple[GeneratedExample, Request]:
    """The question as one vote sees it, and the request that asks it.

    Args:
        example: The question.
        number: Which vote; choices stand in an order of its own against position bias.
        solver: Who is asked.
        knobs: Temperature and length.
    """
    rng = random.Random(f"{example.id}:{number}")  # noqa: S311 – repeatable, not secret
    shown = example
    if example.answer_kind.selects:
        choices = arranged(example.choices, rng)
        shown = example.model_copy(
            update={"choices": choices, "answer_index": choices.index(example.answer)}
        )
    (prompt,) = prompts(example.answer_kind)
    messages = prompt.render(
        context=shown.context,
        question=shown.question,
        choices=shown.choices,
        tests=shown.tests,
    )
    sampling = Sampling(temperature=knobs.temperature, max_tokens=knobs.max_tokens, sample=number)
    return shown, build_request(solver.identity, Role.SOLVER, prompt.version, messages, sampling)


def cast_votes(
    example: GeneratedExample, solver: Teacher, knobs: SolverKnobs, judge: Judge | None
) -> Work[tuple[list[Ballot], Same]]:
    """Asks wave after wave until the votes decide.

    Args:
        example: The question.
        solver: Who is asked.
        knobs: How many votes, how freely, what counts as a majority.
        judge: Compares prose answers; None: their words are compared.

    Returns:
        The ballots, and whether two answers mean the same.
    """
    ballots: list[Ballot] = []
    same, compared = sameness(example), ComparedAnswers(example, judge)
    if compared.is_judged:
        same = compared.same
    for wave in waves(knobs):
        asked = [vote_request(example, number, solver, knobs) for number in wave]
        # One prompt that is too long would fail the engine's whole batch.
        if any(not fits(request, solver) for _, request in asked):
            break
        completions = yield [request for _, request in asked]
        ballots += [
            read_ballot(completion, shown)
            for (shown, _), completion in zip(asked, completions, strict=True)
        ]
        if comparisons := compared.requests(b.answer for b in ballots):
            verdicts = yield list(comparisons.values())
            compared.note(comparisons, verdicts)
        groups = tally(example.answer, [b.answer for b in ballots], same)
        if decided(example.answer, groups, len(ballots), knobs, same):
            break
    return ballots, same


def read_ballot(completion: Completion, shown: Example) -> Ballot:
    """The vote in a completion. What was cut off before its end is no answer."""
    whole = completion.finish_reason == "stop"
    found = answer_format(shown.answer_kind).extract(completion.text, shown) if whole else None
    return Ballot(found, completion, shown)


def sameness(example: Example) -> Same:
    """Whether two answers to the question mean the same, by its answer kind's own rule."""
    kind = answer_format(example.answer_kind)
    return lambda left, right: kind.same(left, right, example)


def tally(answer: str, answers: Iterable[str | None], same: Same) -> Groups:
    """Groups answers that mean the same.

    Args:
        answer: The writer's; its wording stands for its group.
        answers: Extracted answers; None where a vote held none.
        same: Whether two mean the same.

    Returns:
        (representative, count), most votes first; the first vote's wording stands for its group.
    """
    groups = [(answer, 0)]
    for vote in answers:
        if vote is None:
            continue
        for place, (representative, count) in enumerate(groups):
            if same(vote, representative):
                groups[place] = (representative, count + 1)
                break
        else:
            groups.append((vote, 1))
    return sorted((group for group in groups if group[1]), key=lambda group: -group[1])


def decided(answer: str, groups: Groups, cast: int, knobs: SolverKnobs, same: Same) -> bool:
    """Whether all votes that were planned would decide as the ones that were cast.

    They would once the largest group has its majority and no other can reach it, or once there is
    an answer and none can get a majority. Shares are of the planned votes throughout.

    Args:
        answer: The writer's.
        groups: From `tally`.
        cast: Votes cast, those without an answer included.
        knobs: What was planned.
        same: Whether two answers mean the same.
    """
    best, second, *_ = [*(count for _, count in groups), 0, 0]
    needed, left = knobs.majority * knobs.votes, knobs.votes - cast
    won = best > needed and best > second + left
    if won and knobs.accept_corrections and not same(groups[0][0], answer):
        # The majority is against the writer; whether it is strong enough to overrule it is open
        # until it is, or cannot be.
        strong = knobs.correction_share * knobs.votes
        won = best >= strong or best + left < strong
    lost = best > 0 and best + left <= needed
    return won or lost or not left


def decide(answer: str, groups: Groups, votes: int, majority: float, same: Same) -> Outcome:
    """What the votes say about the writer's answer.

    Args:
        answer: The writer's.
        groups: From `tally`.
        votes: Votes planned. One that held no answer, or was not cast as it could change nothing,
            counts for nobody.
        majority: The share of the votes planned that must be exceeded.
        same: Whether two answers mean the same. A program that fails its own tests is not even the
            same as itself.
    """
    if not groups:
        return "unsolvable"
    (leader, count), *others = groups
    if count <= majority * votes or (others and others[0][1] == count):
        return "no_majority"
    return "agreed" if same(leader, answer) else "majority_disagrees"


def best_trace(agreeing: Iterable[Ballot], example: Example, gates: Sequence[Gate]) -> str:
    """The shortest trace of the longer half: complete, without padding.

    A trace that speaks of options by a label counts with their texts in its place, for the label
    meant the order of its vote. One whose label may mean several things does not count, nor one
    that does not read well.

    Args:
        agreeing: The ballots that agree with the row's answer.
        example: The row.
        gates: `gates.text_gates`, which a trace must pass like the row itself.
    """
    found = list(filter(None, map(_trace, agreeing)))
    refused = text_refusals(found, example, gates)
    traces = sorted((t for place, t in enumerate(found) if place not in refused), key=len)
    return traces[len(traces) // 2] if traces else ""


def _trace(ballot: Ballot) -> str | None:
    text = ballot.completion.text.strip()
    if ballot.completion.finish_reason != "stop":
        return None
    return spelled_out(text, ballot.shown.choices) if ballot.shown.choices else text
