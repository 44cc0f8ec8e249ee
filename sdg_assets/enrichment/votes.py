"""Blind votes: requests, counting, and the decision.

The solver sees the question but never the writer's answer: as in the method, the question's writer
and its solver are different calls. Voting is adaptive: it stops as soon as the remaining votes
cannot change the outcome.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sdg_assets.answers import answer_format
from sdg_assets.answers.selection import arranged
from sdg_assets.enrichment.ballot import VOTE_FAULTS, Ballot
from sdg_assets.enrichment.comparison import ComparedAnswers
from sdg_assets.enrichment.forms import vote_form, vote_prompt
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.kinds import VoteForm
from sdg_assets.records import Example, GeneratedExample, Outcome, Role, VoteFault
from sdg_assets.teacher.conversation import Work
from sdg_assets.teacher.requests import (
    FAULTS,
    Completion,
    Request,
    TeacherFacts,
    build_request,
)

Same = Callable[[str, str], bool]
ExampleT = TypeVar("ExampleT", bound=Example)
Groups = list[tuple[str, int]]


@dataclass
class VotingReport:
    """The cost of voting, and the cost that it would have had without stopping early."""

    planned: int = 0
    cast: int = 0
    tokens: int = 0
    cut_off: int = 0
    """Votes cast that count for no answer because they were cut off."""

    def count(self, ballots: Sequence[Ballot], planned: int) -> None:
        """Adds the votes on one row."""
        self.planned += planned
        self.cast += len(ballots)
        self.tokens += sum(b.completion.output_tokens for b in ballots)
        self.cut_off += len(faults_of(ballots))

    def merge(self, other: VotingReport) -> None:
        """Adds the votes on other rows."""
        self.planned += other.planned
        self.cast += other.cast
        self.tokens += other.tokens
        self.cut_off += other.cut_off

    @property
    def tokens_saved(self) -> int:
        """Estimated output tokens of the votes not cast, if as long on average as those cast."""
        return round(self.tokens / self.cast * (self.planned - self.cast)) if self.cast else 0


def waves(knobs: SolverKnobs) -> list[range]:
    """The numbers of the votes to request together.

    The first wave has the fewest votes that can be a majority, then they follow one by one: most
    rows need only the first wave.
    """
    if not knobs.adaptive:
        return [range(knobs.votes)]
    first = min(knobs.votes, math.floor(knobs.majority * knobs.votes) + 1)
    return [range(first), *(range(n, n + 1) for n in range(first, knobs.votes))]


def vote_request(
    example: GeneratedExample,
    number: int,
    solver: TeacherFacts,
    knobs: SolverKnobs,
    form: VoteForm | None = None,
    role: Role = Role.SOLVER,
) -> tuple[GeneratedExample, Request]:
    """The question as presented to one vote, and the request for the vote.

    Args:
        example: The question.
        number: The vote's number; each vote gets its own order of choices, against position bias.
        solver: The solver's teacher.
        knobs: Temperature and length.
        form: The form of the vote; None for the kind's own, by the solver's class.
        role: The role that answers, if it is not the solver.
    """
    kind, teacher_class = example.answer_kind, solver.identity.teacher_class
    shown = presented(example, number)
    form = form or vote_form(kind, teacher_class)
    schema = answer_format(kind).vote_schema(shown) if form == "constrained" else None
    prompt = vote_prompt(kind, teacher_class, "constrained" if schema else "free")
    values = {
        "context": shown.context,
        "question": shown.question,
        "choices": shown.choices,
        "tests": shown.tests,
    }
    sampling = knobs.sampling(solver.identity, number)
    request = build_request(solver.identity, role, prompt, values, sampling, schema)
    return shown, request


def presented(example: ExampleT, number: int) -> ExampleT:
    """The question with its choices in the order in which a vote of this number sees them."""
    if not example.answer_kind.selects:
        return example
    rng = random.Random(f"{example.id}:{number}")  # noqa: S311 – repeatable, not secret
    choices = arranged(example.choices, rng)
    index = choices.index(example.answer) if example.answer in choices else None
    return example.changed({"choices": choices, "answer_index": index})


def cast_votes(
    example: GeneratedExample, solver: TeacherFacts, knobs: SolverKnobs, judge: Judge | None
) -> Work[tuple[list[Ballot], ComparedAnswers]]:
    """Requests votes wave by wave until they decide.

    Args:
        example: The question.
        solver: The solver's teacher.
        knobs: Number of votes, temperature, and the majority that decides.
        judge: Compares prose answers, and a verifier also short ones; if None, rules do.

    Returns:
        The ballots, and which of their answers mean the same. A ballot whose answer the verifier
        found invalid, or did not compare because its reply was cut off, has no answer.
    """
    ballots: list[Ballot] = []
    compared = ComparedAnswers(example, judge)
    for wave in waves(knobs):
        requests = [vote_request(example, number, solver, knobs) for number in wave]
        completions = yield [request for _, request in requests]
        ballots += [
            read_ballot(completion, presented)
            for (presented, _), completion in zip(requests, completions, strict=True)
        ]
        if comparisons := compared.requests(b.answer for b in ballots):
            verdicts = yield list(comparisons.values())
            compared.note(comparisons, verdicts)
        ballots = [compared.counted(ballot) for ballot in ballots]
        groups = tally(example.answer, [b.answer for b in ballots], compared.same)
        faults = faults_of(ballots)
        if decided(example.answer, groups, len(ballots), knobs, compared.same, len(faults)):
            break
    return ballots, compared


def read_ballot(completion: Completion, presented: Example) -> Ballot:
    """The vote in a completion. One cut off, be it while thinking or answering, has no answer."""
    if fault := FAULTS.get(completion.finish_reason):
        return Ballot(None, completion, presented, VOTE_FAULTS[fault])
    answer = answer_format(presented.answer_kind).extract(completion.text, presented)
    return Ballot(answer, completion, presented)


def faults_of(ballots: Iterable[Ballot]) -> list[VoteFault]:
    """How those of the votes were cut off that count for no answer because of it."""
    return [ballot.fault for ballot in ballots if ballot.fault]


def sameness(example: Example) -> Same:
    """The function that tells whether two answers mean the same, by the answer kind's own rule."""
    kind = answer_format(example.answer_kind)
    return lambda left, right: kind.same(left, right, example)


def tally(answer: str, answers: Iterable[str | None], same: Same) -> Groups:
    """Groups answers that mean the same.

    Args:
        answer: The writer's answer; it represents its group.
        answers: The extracted answers; None for a vote without an answer.
        same: Whether two answers mean the same.

    Returns:
        (representative, count), most votes first; the group's first vote represents it.
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


def decided(
    answer: str, groups: Groups, cast: int, knobs: SolverKnobs, same: Same, cut_off: int = 0
) -> bool:
    """Whether the planned votes that are left cannot change the decision.

    This is so once the largest group has its majority and no other group can reach it, or once
    no group can get a majority and it is certain whether that is due to the votes that were cut off
    (see `decide`) or to the question. All shares are of the planned votes.

    Args:
        answer: The writer's answer.
        groups: From `tally`.
        cast: Votes cast, including those without an answer.
        knobs: The planned votes and the majority.
        same: Whether two answers mean the same.
        cut_off: How many of the cast votes were cut off.
    """
    best, second, *_ = [*(count for _, count in groups), 0, 0]
    needed, left = knobs.majority * knobs.votes, knobs.votes - cast
    won = best > needed and best > second + left
    if won and knobs.accept_corrections and not same(groups[0][0], answer):
        # The majority is against the writer. The vote is open until the majority is strong enough
        # to overrule the writer, or can no longer become so.
        strong = knobs.correction_share * knobs.votes
        won = best >= strong or best + left < strong
    lost = best + left <= needed
    by_cuts = best + cut_off > needed
    by_question = best > 0 and best + cut_off + left <= needed
    return won or (lost and (by_cuts or by_question)) or not left


def decide(
    answer: str,
    groups: Groups,
    votes: int,
    majority: float,
    same: Same,
    faults: Sequence[VoteFault] = (),
) -> Outcome:
    """The outcome of the votes for the writer's answer.

    Without a majority, the outcome is the most frequent fault if the votes that were cut off could
    have made one: a thinking budget that is too small must not read as bad questions. Otherwise no
    reply to them would have helped, and the question is to blame.

    Args:
        answer: The writer's answer.
        groups: From `tally`.
        votes: Planned votes. A vote without an answer, or one not cast because it could change
            nothing, counts for no group.
        majority: The share of the planned votes that must be exceeded.
        same: Whether two answers mean the same. A program that fails its own tests does not even
            equal itself.
        faults: How votes were cut off that count for no answer because of it.
    """
    best, second, *_ = [*(count for _, count in groups), 0, 0]
    if best > majority * votes and best > second:
        return "agreed" if same(groups[0][0], answer) else "majority_disagrees"
    if faults and best + len(faults) > majority * votes:
        return Counter(faults).most_common(1)[0][0]
    return "no_majority" if groups else "unsolvable"
