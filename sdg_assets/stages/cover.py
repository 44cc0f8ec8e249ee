"""Plans which subtasks write how many rows, so that wishes about coverage come true.

A wish states how many rows, or which share of all rows, some values of the matrix's axes should
have. A row counts for every wish that its subtask fits. So the plan is a covering problem: a linear
program finds the rows of each subtask that bring every wish to its minimum with the fewest requests
to the writer. The yields that it needs are learned: a subtask that has hardly been tried gets a
small number of requests, and the next plan knows its yield.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.records import AnswerKind
from sdg_assets.stages.linear import fewest
from sdg_assets.stages.target import FIRST_YIELD, LEAST_YIELD, Target
from sdg_assets.stages.wishes import Wish

PILOT = 16
"""Examples that a subtask may write in a round while fewer of its examples are judged."""
FEW_ROWS = 4
"""A round at most triples the examples of a subtask with fewer accepted rows: where 0 of 16 pass, 0
of 1,200 may pass."""
LAST_ROUNDS = 2
"""The last rounds, which leave nothing for later."""
HEADROOM = 1.25
"""Examples that a round may write, as a multiple of what the expected yield asks for."""
# The weight of the expectation from similar subtasks, in examples of the subtask's own.
_PRIOR_WEIGHT = 4
_ENOUGH_SHARE = 0.99
"""A share counts as reached from this part of it on: rounding up rows elsewhere moves it."""
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Supply:
    """What a subtask has, and what it can still write.

    Attributes:
        spec: The subtask.
        accepted: Difficulty → accepted rows.
        written: Examples written so far, which a later run finds in the completion log.
        judged: Those of them whose verdict is known; 0 while `filtered` is missing or older.
        capacity: The most examples that its seeds allow, those written included; None: not known
            before its seeds are normalized.
    """

    spec: SubtaskSpec
    accepted: Mapping[str, int]
    written: int = 0
    judged: int = 0
    capacity: int | None = None

    @property
    def name(self) -> str:
        """The subtask as `task/subtask`."""
        return f"{self.spec.task}/{self.spec.key}"

    @property
    def rows(self) -> int:
        """Accepted rows."""
        return sum(self.accepted.values())

    def fit(self, wish: Wish, difficulties: Mapping[str, float]) -> float:
        """The share of the subtask's rows that count for a wish, 0 to 1.

        Args:
            wish: The wish.
            difficulties: Difficulty → share of rows, as expected of any subtask.
        """
        if not wish.holds(self.spec):
            return 0.0
        if not wish.difficulty:
            return 1.0
        expected = difficulties.get(wish.difficulty, 0.0) * _PRIOR_WEIGHT
        own = self.accepted.get(wish.difficulty, 0)
        return (own + expected) / (self.rows + _PRIOR_WEIGHT)

    def counted(self, wish: Wish) -> int:
        """The accepted rows that count for a wish."""
        if not wish.holds(self.spec):
            return 0
        return self.accepted.get(wish.difficulty, 0) if wish.difficulty else self.rows


@dataclass(frozen=True)
class Goal:
    """A wish, and how near the rows are to it.

    Attributes:
        wish: The wish.
        rows: Accepted rows that count for it.
        minimum: Rows that it asks for; of a share, at the present number of rows.
        planned: Rows expected after this round.
        unfillable: Missing rows that no enabled subtask can write, in any number of rounds.
        subtasks: Number of subtasks whose rows count for it.
        is_opposed: Whether these could fill it if there were no other wish.
    """

    wish: Wish
    rows: int
    minimum: int
    planned: int
    unfillable: int
    subtasks: int
    is_opposed: bool

    @property
    def is_met(self) -> bool:
        """Whether there are as many rows as the wish asks for."""
        return self.rows >= self.minimum

    @property
    def why_unfillable(self) -> str:
        """Says that a hole stays, and why; empty if none does."""
        if not self.unfillable:
            return ""
        if not self.subtasks:
            why = "no enabled subtask has such rows"
        elif self.is_opposed:
            why = "the other wishes are against it; the shares may add up to more than all rows"
        else:
            why = (
                f"the seeds of the {self.subtasks} subtasks with such rows allow no more examples, "
                "or the subtasks may not write"
            )
        if self.wish.difficulty and not self.subtasks:
            why += f"; no accepted row of any is {self.wish.difficulty!r} yet"
        return (
            f"{self.wish.label}: {self.rows} of {self.minimum} rows, and {self.unfillable} cannot "
            f"be written: {why}"
        )


@dataclass(frozen=True)
class Plan:
    """What one round has written."""

    goals: Sequence[Goal]
    """The wishes, in their order."""
    targets: Mapping[str, Target]
    """`task/subtask` → its target, for each subtask that is to write more."""
    requests: int
    """New examples that the writer is expected to be asked for."""


def yields_of(supplies: Iterable[Supply]) -> dict[str, float]:
    """The expected yield of each subtask: accepted rows for each example written.

    It is the subtask's own yield so far, and the fewer examples are judged, the more it leans on
    the yield of the subtasks with the same answer kind.

    Args:
        supplies: All subtasks.

    Returns:
        `task/subtask` → its yield, at least `LEAST_YIELD`.
    """
    rows: dict[AnswerKind, float] = defaultdict(float)
    judged: dict[AnswerKind, int] = defaultdict(int)
    supplies = list(supplies)
    for supply in supplies:
        if supply.judged:
            rows[supply.spec.answer_kind] += supply.rows
            judged[supply.spec.answer_kind] += supply.judged
    yields = {}
    for supply in supplies:
        kind = supply.spec.answer_kind
        prior = (rows[kind] + FIRST_YIELD * _PRIOR_WEIGHT) / (judged[kind] + _PRIOR_WEIGHT)
        own = supply.rows if supply.judged else 0
        expected = (own + prior * _PRIOR_WEIGHT) / (supply.judged + _PRIOR_WEIGHT)
        yields[supply.name] = min(1.0, max(LEAST_YIELD, expected))
    return yields


def plan_round(
    wishes: Sequence[Wish],
    supplies: Sequence[Supply],
    rounds: int = 1,
    yields: Mapping[str, float] | None = None,
) -> Plan:
    """Plans a round: the targets with the fewest requests that bring the wishes nearer.

    A wish that an untried subtask may serve is met over several rounds. In its first rounds only a
    part of what is missing is written, and by an untried subtask `PILOT` examples at most; the rest
    is then left to the subtasks with the best yields.

    Args:
        wishes: The wishes; see `wishes.checked`.
        supplies: The subtasks that may write.
        rounds: How many rounds there still are, this one included.
        yields: `task/subtask` → accepted rows for each example, known for certain; None:
            `yields_of(supplies)`.
    """
    is_certain = yields is not None
    is_tried = [is_certain or supply.judged >= PILOT for supply in supplies]
    yields = yields_of(supplies) if yields is None else yields
    total = sum(supply.rows for supply in supplies)
    difficulties = _difficulties(supplies)
    fits = [[supply.fit(wish, difficulties) for supply in supplies] for wish in wishes]
    counted = [sum(supply.counted(wish) for supply in supplies) for wish in wishes]
    gaps = [_gap(wish, rows, total) for wish, rows in zip(wishes, counted, strict=True)]
    # What a row of a subtask contributes to a wish: a row that does not count lowers a share.
    gains = [
        [fit - (wish.share or 0.0) for fit in own] for wish, own in zip(wishes, fits, strict=True)
    ]
    costs = [1 / yields[supply.name] for supply in supplies]
    room = [_room(supply) for supply in supplies]
    now = [
        left if is_certain else min(left, _trusted(supply))
        for left, supply in zip(room, supplies, strict=True)
    ]
    parts = [
        _part(gap, rounds, all(tried or not fit for fit, tried in zip(own, is_tried, strict=True)))
        for gap, own in zip(gaps, fits, strict=True)
    ]
    _, unfillable = fewest(costs, _rows(room, costs), gains, gaps)
    rows, _ = fewest(costs, _rows(now, costs), gains, parts)

    def alone(gain: Sequence[float], gap: float) -> float:
        """The missing rows of a wish if there were no other."""
        _, (missing,) = fewest(costs, _rows(room, costs), [gain], [gap])
        return missing if missing > _ROUNDING else 0.0

    goals = [
        Goal(
            wish=wish,
            rows=has,
            minimum=has + ceil(gap) if gap > 0 else min(has, ceil(_minimum(wish, total))),
            planned=round(has + sum(fit * new for fit, new in zip(own, rows, strict=True))),
            unfillable=ceil(short - _ROUNDING),
            subtasks=sum(fit > 0 for fit in own),
            is_opposed=short > _ROUNDING and not alone(gain, gap),
        )
        for wish, own, has, gap, gain, short in zip(
            wishes, fits, counted, gaps, gains, unfillable, strict=True
        )
    ]
    targets = {
        supply.name: _target(supply, new, yields[supply.name], most)
        for supply, new, most in zip(supplies, rows, now, strict=True)
        if new > _ROUNDING
    }
    requests = sum(ceil(new * cost - _ROUNDING) for new, cost in zip(rows, costs, strict=True))
    return Plan(goals, targets, requests)


def _difficulties(supplies: Iterable[Supply]) -> dict[str, float]:
    """Difficulty → its share of all accepted rows."""
    counts: Counter[str] = Counter()
    for supply in supplies:
        counts.update(supply.accepted)
    return {name: count / counts.total() for name, count in counts.items() if count}


def _part(gap: float, rounds: int, all_tried: bool) -> float:
    """The part of a gap to be filled in this round."""
    if gap <= 0 or all_tried:
        return gap
    return gap / max(1, rounds - LAST_ROUNDS)


def _rows(examples: Iterable[float], costs: Iterable[float]) -> list[float]:
    """The rows that so many examples of each subtask bring."""
    return [most / cost for most, cost in zip(examples, costs, strict=True)]


def _minimum(wish: Wish, total: int) -> float:
    return wish.share * total if wish.share else float(wish.rows or 0)


def _gap(wish: Wish, rows: int, total: int) -> float:
    """The rows that a wish still misses; 0 or less if it is met."""
    gap = _minimum(wish, total) - rows
    is_met = rows >= _minimum(wish, total) * (_ENOUGH_SHARE if wish.share else 1)
    return min(0.0, gap) if is_met else gap


def _room(supply: Supply) -> float:
    """The examples that a subtask can still write."""
    return inf if supply.capacity is None else max(0, supply.capacity - supply.written)


def _trusted(supply: Supply) -> float:
    """The examples that a subtask may write in a round, as far as its yield is known."""
    if supply.judged < PILOT:
        return PILOT
    return 2 * supply.judged if supply.rows < FEW_ROWS else inf


def _target(supply: Supply, rows: float, expected_yield: float, most: float) -> Target:
    """The target that adds so many rows, with at most `most` new examples."""
    new = ceil(rows - _ROUNDING)
    examples = min(most, ceil(HEADROOM * new / expected_yield))
    return Target(
        rows=supply.rows + new,
        expected_yield=round(expected_yield, 3),
        most_written=supply.written + int(examples),
    )
