"""What a check is, and how one went for a partition."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel

from sdg_assets.thresholds import NoThresholds, OwnThresholds

if TYPE_CHECKING:
    from sdg_assets.checks.tally import Tally

OFFENDERS_SHOWN = 10
"""Rows that an outcome names; it counts all of them."""


class Offender(BaseModel):
    """A row that broke an invariant."""

    row: str
    problem: str


class CheckOutcome(BaseModel):
    """How a check went for one partition."""

    name: str
    passed: bool
    blocking: bool = False
    summary: str
    numbers: dict[str, float] = {}
    offenders: list[Offender] = []
    reasons: dict[str, tuple[int, int]] = {}
    """Why rows were lost → rows now, rows in the version before."""
    kept_at: str = ""
    """File of the rows refused by an attempt that was not published; empty if it was."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check that no gate stands behind. The stage table says which stages have it."""

    name: str
    description: str
    """What holds of a partition that passes, as Dagster shows it."""
    evaluate: Callable[[Tally], CheckOutcome] | None = None
    """None: the asset that makes the partition evaluates it."""
    thresholds: type[OwnThresholds] = NoThresholds
    """The thresholds that it owns."""
    needs_rows: bool = True
    """Whether it says nothing about a partition without rows, and so fails there."""


def share_outcome(
    name: str, count: int, seen: int, *, least: float, verb: str, advice: str
) -> CheckOutcome:
    """The outcome of a check that enough rows are of some kind.

    Args:
        name: The check.
        count: Rows of that kind.
        seen: All rows.
        least: The share of them that must be of it.
        verb: What happened to the rows counted: `accepted`.
        advice: What to do if there are too few.
    """
    passed = seen > 0 and count >= least * seen
    return CheckOutcome(
        name=name,
        passed=passed,
        summary=f"{count} of {seen} rows {verb}" + ("" if passed else f": {advice}"),
        numbers={verb: count, "rows": seen, "share": count / seen if seen else 0.0},
    )


def broken_invariants(outcomes: Iterable[CheckOutcome]) -> list[CheckOutcome]:
    """The failed checks that keep a partition from being published."""
    return [outcome for outcome in outcomes if outcome.blocking and not outcome.passed]
