"""How a check went for a partition."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

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
