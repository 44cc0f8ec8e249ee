"""The outcome of a check for one partition."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

OFFENDERS_SHOWN = 10
"""How many offending rows an outcome lists. Its numbers count all of them."""


class Offender(BaseModel):
    """A row that a check lists as a problem."""

    row: str
    """The row's id; empty if it has none."""
    problem: str


class CheckOutcome(BaseModel):
    """The outcome of a check for one partition."""

    name: str
    passed: bool
    blocking: bool = False
    """Whether failing it keeps the partition from being published."""
    summary: str
    numbers: dict[str, float] = {}
    offenders: list[Offender] = []
    reasons: dict[str, tuple[int, int]] = {}
    """Reason → (lost rows now, lost rows in the published version)."""
    kept_at: str = ""
    """File with the refused rows of an attempt that was not published; empty if it was."""


def share_outcome(
    name: str, count: int, seen: int, *, least: float, verb: str, advice: str
) -> CheckOutcome:
    """The outcome of a check that a minimum share of rows was, for example, accepted.

    Args:
        name: The check's name.
        count: Number of rows that were.
        seen: Number of all rows. The check fails if it is 0.
        least: The minimum share, 0 to 1.
        verb: What happened to the counted rows, such as `accepted`.
        advice: What to do if the share is too small.
    """
    passed = seen > 0 and count >= least * seen
    return CheckOutcome(
        name=name,
        passed=passed,
        summary=f"{count} of {seen} rows {verb}" + ("" if passed else f": {advice}"),
        numbers={verb: count, "rows": seen, "share": count / seen if seen else 0.0},
    )


def broken_invariants(outcomes: Iterable[CheckOutcome]) -> list[CheckOutcome]:
    """The failed checks that keep the partition from being published."""
    return [outcome for outcome in outcomes if outcome.blocking and not outcome.passed]
