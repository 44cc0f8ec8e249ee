"""Whether a partition lost more rows than its input explains, against the version it replaces.

A broken solver once took twenty partitions of `filtered` from 6 to 11 rows to none, and every check
was green. So a version that lost too much is not published until a person accepts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

# A count of n rows that are accepted by chance varies by about sqrt(n): a loss of up to this many
# times that is no sign of a defect. It matters only where rows are few, as in a trial.
CHANCE = 2.0
REASONS_SHOWN = 3


@dataclass(frozen=True)
class Standing:
    """What a version of a partition came to."""

    rows: int
    """Rows that count: those accepted; in `enriched`, those verified."""
    seen: int
    """Rows that went in: accepted and refused."""
    refused: Mapping[str, int]
    """Why rows do not count → how many."""

    @property
    def reasons(self) -> str:
        """The most frequent reasons, for a person."""
        most = Counter(self.refused).most_common(REASONS_SHOWN)
        return "; ".join(f"{reason} {count}" for reason, count in most)


def expected_rows(before: Standing, now: Standing) -> float:
    """Rows that the yield of the version before promises: a smaller input explains fewer rows."""
    return before.rows * min(1.0, now.seen / before.seen) if before.seen else 0.0


def lost_too_much(before: Standing, now: Standing, share: float) -> bool:
    """Whether more rows are lost than chance and a smaller input explain.

    Args:
        before: The version that is published.
        now: The one that is to replace it.
        share: Of the expected rows, the part that may be lost.
    """
    expected = expected_rows(before, now)
    lost = expected - now.rows
    return lost > share * expected and lost > CHANCE * sqrt(expected)
