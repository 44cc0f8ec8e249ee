"""Whether a partition lost more rows than its input explains, against the version it replaces.

A broken solver once took twenty partitions of `filtered` from 6 to 11 rows to none, and every check
was green. So a version without rows, or that lost too many, is not published until a person
accepts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

from sdg_assets.records import Stage
from sdg_assets.stages.stage import STAGES

# A count of n rows that are accepted by chance varies by about sqrt(n): a loss of up to this many
# times that is no sign of a defect. It matters only where rows are few, as in a trial.
CHANCE = 2.0
REASONS_SHOWN = 3
TO_ACCEPT = (
    "The published version stays. If fewer rows are right, run it with accept_smaller in the "
    "launchpad or the tag sdg/accept_smaller=true"
)
NONE_LEFT = (
    "A partition without rows is not published: mend the cause, or switch the subtask off in the "
    "catalog"
)


@dataclass(frozen=True)
class Standing:
    """What a version of a partition came to."""

    rows: int
    """Accepted rows."""
    counted: int
    """Accepted rows that are worth something: the verified ones where the solver votes
    (`enriched`), else all."""
    seen: int
    """Rows that went in: accepted and refused."""
    refused: Mapping[str, int]
    """Why rows do not count → how many."""

    @classmethod
    def of(
        cls,
        stage: Stage,
        rows: int,
        refused: Mapping[str, int],
        verified: int,
        outcomes: Mapping[str, int],
    ) -> Standing:
        """What a version of a stage's partition came to.

        Args:
            stage: The stage.
            rows: Accepted rows.
            refused: Reason → refused rows.
            verified: Of the accepted rows, those that the solver's votes verify.
            outcomes: What the votes said of the accepted rows; empty before `enriched`.
        """
        seen = rows + sum(refused.values())
        if not STAGES[stage].has_votes:
            return cls(rows, rows, seen, refused)
        # A row that nobody agrees with passes this stage all the same, and is worth nothing.
        unverified = {outcome: count for outcome, count in outcomes.items() if outcome != "agreed"}
        return cls(rows, verified, seen, {**refused, **unverified})

    def __str__(self) -> str:
        left = "left" if self.counted == self.rows else "verified"
        return f"{self.counted} of {self.seen} rows are {left}"

    @property
    def reasons(self) -> str:
        """The most frequent reasons, for a person."""
        most = Counter(self.refused).most_common(REASONS_SHOWN)
        return "; ".join(f"{reason} {count}" for reason, count in most) or "none"


@dataclass(frozen=True)
class Comparison:
    """How a new version compares with the published one."""

    passed: bool
    summary: str
    numbers: dict[str, float]
    reasons: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Why rows were lost → rows now, rows in the version before; empty if it passed."""


def expected_rows(before: Standing, now: Standing) -> float:
    """Rows that the yield of the version before promises: a smaller input explains fewer rows."""
    return before.counted * min(1.0, now.seen / before.seen) if before.seen else 0.0


def lost_too_much(before: Standing, now: Standing, share: float) -> bool:
    """Whether more rows are lost than chance and a smaller input explain.

    Args:
        before: The version that is published.
        now: The one that is to replace it.
        share: Of the expected rows, the part that may be lost.
    """
    expected = expected_rows(before, now)
    lost = expected - now.counted
    return lost > share * expected and lost > CHANCE * sqrt(expected)


def compare(before: Standing | None, now: Standing, share: float, *, accepted: bool) -> Comparison:
    """Compares a new version with the published one.

    Args:
        before: The version that is published; None if there is none.
        now: The one that is to replace it.
        share: Of the expected rows, the part that may be lost.
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
