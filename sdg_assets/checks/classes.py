"""Counts accepted and refused rows by answer, and finds the answer that is refused most often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt

from sdg_assets.records import AnswerKind, Example, Record, Rejection

# With more distinct answers than this, each row has its own options, so answers are not classes.
_MOST_CLASSES = 20
# A class with fewer rows is not tested: its refused share varies too much by chance.
_LEAST_ROWS = 10
# By how many standard errors the refused share of a class must exceed that of the others. By
# chance alone this happens once in 15,000 cases.
_STANDARD_ERRORS = 4.0


@dataclass(frozen=True)
class ClassLoss:
    """How many rows of one class were refused, compared with all other classes.

    Attributes:
        answer: The answer that defines the class.
        lost: Refused rows of the class.
        rows: All rows of the class.
        others_lost: Refused rows of all other classes.
        others: All rows of all other classes.
    """

    answer: str
    lost: int
    rows: int
    others_lost: int
    others: int

    @property
    def excess(self) -> float:
        """Refused share of this class minus that of all other classes, -1 to 1."""
        return self.lost / self.rows - (self.others_lost / self.others if self.others else 0.0)

    @property
    def is_chance(self) -> bool:
        """Whether the difference may be chance, by a two-proportion z-test with pooled variance."""
        if self.rows < _LEAST_ROWS or self.others < _LEAST_ROWS:
            return True
        share = (self.lost + self.others_lost) / (self.rows + self.others)
        error = sqrt(share * (1 - share) * (1 / self.rows + 1 / self.others))
        return self.excess <= _STANDARD_ERRORS * error

    def __str__(self) -> str:
        return (
            f"{self.lost} of {self.rows} rows with the answer {self.answer!r} are refused "
            f"({self.lost / self.rows:.0%}), {self.others_lost} of {self.others} with any other"
        )


@dataclass
class ClassBalance:
    """Counts accepted and refused rows by answer."""

    _kinds: list[AnswerKind] = field(
        default_factory=lambda: AnswerKind.where(lambda policy: policy.has_classes)
    )
    _seen: Counter[str] = field(default_factory=Counter)
    _lost: Counter[str] = field(default_factory=Counter)

    def see(self, row: Record) -> None:
        """Counts an accepted or refused row, unless it was refused before it was mapped."""
        if isinstance(row, Rejection):
            if row.row.get("answer_kind") in self._kinds and isinstance(row.row.get("answer"), str):
                self._seen[row.row["answer"]] += 1
                self._lost[row.row["answer"]] += 1
        elif isinstance(row, Example) and row.answer_kind in self._kinds:
            self._seen[row.answer] += 1

    def worst(self) -> ClassLoss | None:
        """The class with the largest excess of refusals that chance does not explain.

        Returns:
            None if no class exceeds the others, or if the answers are not classes.
        """
        if not 1 < len(self._seen) <= _MOST_CLASSES:
            return None
        rows, lost = self._seen.total(), self._lost.total()
        losses = (
            ClassLoss(answer, self._lost[answer], count, lost - self._lost[answer], rows - count)
            for answer, count in self._seen.items()
        )
        uneven = [loss for loss in losses if not loss.is_chance]
        return max(uneven, key=lambda loss: loss.excess, default=None)
