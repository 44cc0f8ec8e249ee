"""How much of a held-out row a row has, and what of it counts.

The held-out question is compared. Its choices and its context count only where the question alone
tells too little. The contamination gate's docstring has the whole definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdg_assets.heldout.overlap import TextOverlap

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# The weight, in rare n-grams, from which a question is recognized by itself: two rare words.
TELLING = 8.0
# The weight of a held-out row that a row must have, however large the share.
EVIDENCE = 6.0
# The share that counts as the whole question: the rest is lost where it was cut in two or joined.
WHOLE = 0.9
# The share of a held-out context, or question, from which it counts as the same one.
SAME_CONTEXT = 0.5


@dataclass(frozen=True)
class Candidate:
    """A row of a batch beside a held-out row that it may repeat."""

    place: int
    """Position of the row in the batch."""
    row: int
    """Position of the held-out row, see `HeldoutIndex.rows`."""
    weight: float
    """Weight of what the held-out question is recognized by, in rare n-grams."""
    share: float
    """Share of that weight that stands in the row."""
    is_stem: bool
    """Whether the question alone tells too little: its choices or its context are part of it."""
    context: float
    """Share of the held-out context that the row has; 0 if the held-out row has none."""
    words: float
    """Words of the held-out question, without those of its table's frame."""


@dataclass(frozen=True)
class SharedContext:
    """A row of a batch that shares a held-out context."""

    place: int
    """Position of the row in the batch."""
    benchmark: str
    key: int
    """The context's key, see `rows_schema`."""
    words: int
    weight: float
    """Weight of the whole context, in rare n-grams."""
    share: float
    """Share of that weight that stands in the row."""


@dataclass(frozen=True)
class PartOverlap:
    """Parallel arrays: one part of held-out rows, and what rows have of it."""

    weight: Array
    """Weight of the part's text; 0 if the held-out row has none."""
    overlap: TextOverlap

    @property
    def share(self) -> Array:
        """The share of the part that stands in the row."""
        return _ratio(self.overlap.anywhere, self.weight, self.weight > 0)


@dataclass(frozen=True)
class Score:
    """Parallel arrays: what pairs of a row and a held-out row are judged by."""

    weight: Array
    """Weight of what the held-out question is recognized by."""
    present: Array
    """Of `weight`, what the row has."""

    @property
    def share(self) -> Array:
        """`present` as a share of `weight`; 0 where that is 0."""
        return _ratio(self.present, self.weight, self.weight > 0)


def score(
    question: PartOverlap,
    choices: PartOverlap,
    context: PartOverlap,
    own: Array,
    *,
    is_same: Array,
    is_stem: Array,
    is_asked_often: Array,
) -> Score:
    """Scores pairs of a row and a held-out row. All arguments are parallel arrays.

    Args:
        question: The held-out question, and what the row has of it.
        choices: The same of its choices.
        context: The same of its context.
        own: Weight of the question's n-grams that its context does not have.
        is_same: Whether both questions are equal.
        is_stem: Whether the held-out question alone tells too little.
        is_asked_often: Whether its table asks it in many settings: then it tells nothing.
    """
    import numpy as np

    # Where the row has the passage, the words that the passage lends to the question are no sign of
    # the question, unless all of them stand there.
    own_share = _ratio(question.overlap.own, own, own >= EVIDENCE)
    beside_passage = np.maximum(question.overlap.asked, own_share * question.weight)
    is_lent = (context.share >= SAME_CONTEXT) & (question.share < WHOLE)
    present = np.where(is_lent, beside_passage, question.overlap.anywhere)
    present = np.where(is_asked_often, 0, present)
    weight = np.where(is_asked_often, 0, question.weight)
    # Choices, or a context, stand in for a question that many rows ask, if the row asks it too.
    is_asked = is_same | (question.share >= SAME_CONTEXT) | (question.weight == 0)
    with_choices = is_stem & is_asked
    present = present + np.where(with_choices, choices.overlap.anywhere, 0)
    weight = weight + np.where(with_choices, choices.weight, 0)
    with_context = with_choices & (weight < TELLING) & (is_same | (question.weight > 0))
    present = present + np.where(with_context, context.overlap.anywhere, 0)
    weight = weight + np.where(with_context, context.weight, 0)
    return Score(weight, present)


def _ratio(numerator: Array, denominator: Array, is_defined: Array) -> Array:
    """The quotients (float64), 0 where they are not defined."""
    import numpy as np

    none = np.zeros(len(numerator))
    return np.divide(numerator, denominator, out=none, where=is_defined)
