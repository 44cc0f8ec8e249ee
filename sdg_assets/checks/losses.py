"""Compares a partition's rows with those of the version that it replaces.

A broken solver once reduced twenty partitions of `filtered` from 6 to 11 rows each to none, and
every check was green. So a new version that has no rows, or far fewer than a smaller input
explains, is not published until a person accepts the loss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

from sdg_assets.records import Stage
from sdg_assets.stages.stage import STAGES

# A count of n randomly accepted rows varies by about sqrt(n). A loss of up to this many times
# sqrt(n) is put down to chance. This matters only for small partitions, as in a trial run.
CHANCE = 2.0
REASONS_SHOWN = 3
TO_ACCEPT = (
    "The published version stays. If fewer rows are right, run it again with accept_smaller in the "
    "launchpad or the tag sdg/accept_smaller=true"
)
NONE_LEFT = (
    "A partition without rows is not published: fix the cause, or switch the subtask off in the "
    "catalog"
)


@dataclass(frozen=True)
class Standing:
    """The row counts of one version of a partition."""

    rows: int
    """Accepted rows."""
    counted: int
    """Accepted rows that later stages can use: the verified ones if the solver votes
    (`enriched`), else all."""
    seen: int
    """Input rows: accepted and refused."""
    refused: Mapping[str, int]
    """Reason why rows do not count → number of rows."""

    @classmethod
    def of(
        cls,
        stage: Stage,
        rows: int,
        refused: Mapping[str, int],
        verified: int,
        outcomes: Mapping[str, int],
    ) -> Standing:
        """Builds the counts of one version of a partition.

        Args:
            stage: The stage.
            rows: Number of accepted rows.
            refused: Reason → number of refused rows.
            verified: How many of the accepted rows the solver's votes verify.
            outcomes: Outcome of the votes → number of accepted rows; empty before `enriched`.
        """
        seen = rows + sum(refused.values())
        if not STAGES[stage].has_votes:
            return cls(rows, rows, seen, refused)
        # A row that no vote agrees with is accepted in this stage, but `filtered` refuses it.
        unverified = {outcome: count for outcome, count in outcomes.items() if outcome != "agreed"}
        return cls(rows, verified, seen, {**refused, **unverified})

    def __str__(self) -> str:
        left = "left" if self.counted == self.rows else "verified"
        return f"{self.counted} of {self.seen} rows are {left}"

    @property
    def reasons(self) -> str:
        """The most frequent reasons and their counts, as text."""
        most = Counter(self.refused).most_common(REASONS_SHOWN)
        return "; ".join(f"{reason} {count}" for reason, count in most) or "none"


@dataclass(frozen=True)
class Comparison:
    """The comparison of a new version with the published one."""

    passed: bool
    summary: str
    numbers: dict[str, float]
    reasons: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Reason → (lost rows now, lost rows in the published version); empty if it passed."""


def expected_rows(before: Standing, now: Standing) -> float:
    """Rows to expect from the yield of the published version. A smaller input lowers them."""
    return before.counted * min(1.0, now.seen / before.seen) if before.seen else 0.0


def lost_too_much(before: Standing, now: Standing, share: float) -> bool:
    """Whether more rows are lost than chance and a smaller input explain.

    Args:
        before: The published version.
        now: The version that would replace it.
        share: Share of the expected rows that may be lost, 0 to 1.
    """
    expected = expected_rows(before, now)
    lost = expected - now.counted
    return lost > share * expected and lost > CHANCE * sqrt(expected)


def compare(before: Standing | None, now: Standing, share: float, *, accepted: bool) -> Comparison:
    """Compares a new version with the published one.

    Args:
        before: The published version; None if there is none.
        now: The version that would replace it.
        share: Share of the expected rows that may be lost, 0 to 1.
        accepted: Whether a person has accepted the loss.
    """
    numbers: dict[str, float] = {"rows": now.counted, "rows_in": now.seen}
    if before is None:
        if now.rows:
            return Comparison(True, str(now), numbers)
        text = f"{now}. Most frequent reasons: {now.reasons}. {NONE_LEFT}"
        return Comparison(False, text, numbers, _side_by_side(before, now))
    numbers |= {"rows_before": before.counted, "rows_in_before": before.seen}
    text = f"{now}; in the published version {before.counted} of {before.seen} are"
    if now.rows and not lost_too_much(before, now, share):
        return Comparison(True, text, numbers)
    if accepted:
        return Comparison(True, f"{text}. The loss was accepted with accept_smaller", numbers)
    numbers["rows_expected"] = expected_rows(before, now)
    text = (
        f"{text}, so that at least {1 - share:.0%} of {numbers['rows_expected']:.0f} were expected."
        f" Most frequent reasons: {now.reasons} (before: {before.reasons}). {TO_ACCEPT}"
    )
    return Comparison(False, text, numbers, _side_by_side(before, now))


def _side_by_side(before: Standing | None, now: Standing) -> dict[str, tuple[int, int]]:
    earlier = before.refused if before else {}
    reasons = dict.fromkeys([*now.refused, *earlier])
    return {reason: (now.refused.get(reason, 0), earlier.get(reason, 0)) for reason in reasons}
