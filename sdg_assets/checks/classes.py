"""Accepted and refused rows by answer, and the answer that loses most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt

from sdg_assets.records import AnswerKind, Example, Record, Rejection

# More answers than this are no classes: each row has its own options.
_MOST_CLASSES = 20
# Fewer rows of a class are lost to chance.
_LEAST_ROWS = 10
# Standard errors by which a class must lose more than the others: one in 15,000 by chance.
_STANDARD_ERRORS = 4.0


@dataclass(frozen=True)
class ClassLoss:
    """The class that loses most."""

    answer: str
    lost: int
    rows: int
    others_lost: int
    others: int

    @property
    def excess(self) -> float:
        """By how much the share of it that is refused exceeds that of all other classes."""
        return self.lost / self.rows - (self.others_lost / self.others if self.others else 0.0)

    @property
    def is_chance(self) -> bool:
        """Whether so few rows may well differ so much."""
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
        """Takes note of an accepted or refused row; of one that was refused unmapped, nothing."""
        if isinstance(row, Rejection):
            if row.row.get("answer_kind") in self._kinds and isinstance(row.row.get("answer"), str):
                self._seen[row.row["answer"]] += 1
                self._lost[row.row["answer"]] += 1
        elif isinstance(row, Example) and row.answer_kind in self._kinds:
            self._seen[row.answer] += 1

    def worst(self) -> ClassLoss | None:
        """The class that loses most beyond chance; None where all lose alike, or there are none."""
        if not 1 < len(self._seen) <= _MOST_CLASSES:
            return None
        rows, lost = self._seen.total(), self._lost.total()
        losses = (
            ClassLoss(answer, self._lost[answer], count, lost - self._lost[answer], rows - count)
            for answer, count in self._seen.items()
        )
        uneven = [loss for loss in losses if not loss.is_chance]
        return max(uneven, key=lambda loss: loss.excess, default=None)
