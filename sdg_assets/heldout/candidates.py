"""Scores how much of a held-out row another row contains.

The held-out question is compared. Its choices and its context count only if the question alone is
not distinctive. The contamination gate's docstring has the whole definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdg_assets.heldout.overlap import TextOverlap

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# The weight, in rare n-grams, from which a question is distinctive by itself: two rare words.
DISTINCTIVE = 8.0
# The weight, in rare n-grams, that a row must share with a held-out row, however large the share.
EVIDENCE = 6.0
# The share that counts as the whole question: cutting or joining a question loses the rest.
WHOLE = 0.9
# The share from which a held-out context, or question, counts as the same one.
SAME_CONTEXT = 0.5


@dataclass(frozen=True)
class Candidate:
    """A row of a batch, paired with a held-out row that it may repeat."""

    place: int
    """Position of the row in the batch."""
    row: int
    """Position of the held-out row, see `HeldoutIndex.rows`."""
    weight: float
    """Weight of the compared parts of the held-out row, in rare n-grams."""
    share: float
    """Share of that weight that the row contains."""
    is_stem: bool
    """Whether the question alone is not distinctive: its choices or context are compared, too."""
    context: float
    """Share of the held-out context that the row contains; 0 if the held-out row has none."""
    words: float
    """Words of the held-out question, without its table's boilerplate words."""


@dataclass(frozen=True)
class SharedContext:
    """A row of a batch that shares a held-out context."""

    place: int
    """Position of the row in the batch."""
    benchmark: str
    key: int
    """The context's key, as in `rows_schema`."""
    words: int
    weight: float
    """Weight of the whole context, in rare n-grams."""
    share: float
    """Share of that weight that the row contains."""


@dataclass(frozen=True)
class PartOverlap:
    """Parallel arrays: one part of held-out rows, and how much of it the paired rows contain."""

    weight: Array
    """Weight of the part's text; 0 if the held-out row has none."""
    overlap: TextOverlap

    @property
    def share(self) -> Array:
        """The share of the part that the row contains."""
        return _ratio(self.overlap.anywhere, self.weight, self.weight > 0)


@dataclass(frozen=True)
class Score:
    """Parallel arrays: the scores of pairs of a row and a held-out row."""

    weight: Array
    """Weight of the compared parts of the held-out row."""
    present: Array
    """The part of `weight` that the row contains."""

    @property
    def share(self) -> Array:
        """`present / weight`; 0 if `weight` is 0."""
        return _ratio(self.present, self.weight, self.weight > 0)


def score(
    question: PartOverlap,
    choices: PartOverlap,
    context: PartOverlap,
    own: Array,
    *,
    is_same: Array,
    is_stem: Array,
    has_many_settings: Array,
) -> Score:
    """Scores pairs of a row and a held-out row. All arguments are parallel arrays.

    Args:
        question: The held-out question, and how much of it the row contains.
        choices: The same for its choices.
        context: The same for its context.
        own: Weight of the question's n-grams that are not in its context.
        is_same: Whether both questions are equal.
        is_stem: Whether the held-out question alone is not distinctive.
        has_many_settings: Whether its table asks the question in so many settings (contexts, sets
            of choices) that the question itself is no evidence.
    """
    import numpy as np

    # If the row has the passage, words that the question shares with the passage are no evidence
    # for the question, unless the row has the whole question.
    own_share = _ratio(question.overlap.own, own, own >= EVIDENCE)
    outside_passage = np.maximum(question.overlap.outside_context, own_share * question.weight)
    has_passage_only = (context.share >= SAME_CONTEXT) & (question.share < WHOLE)
    present = np.where(has_passage_only, outside_passage, question.overlap.anywhere)
    present = np.where(has_many_settings, 0, present)
    weight = np.where(has_many_settings, 0, question.weight)
    # The choices or the context of a question that many rows ask count if the row asks it, too.
    is_asked = is_same | (question.share >= SAME_CONTEXT) | (question.weight == 0)
    with_choices = is_stem & is_asked
    present = present + np.where(with_choices, choices.overlap.anywhere, 0)
    weight = weight + np.where(with_choices, choices.weight, 0)
    with_context = with_choices & (weight < DISTINCTIVE) & (is_same | (question.weight > 0))
    present = present + np.where(with_context, context.overlap.anywhere, 0)
    weight = weight + np.where(with_context, context.weight, 0)
    return Score(weight, present)


def _ratio(numerator: Array, denominator: Array, is_defined: Array) -> Array:
    """The quotients (float64); 0 where the denominator does not allow one."""
    import numpy as np

    zeros = np.zeros(len(numerator))
    return np.divide(numerator, denominator, out=zeros, where=is_defined)
