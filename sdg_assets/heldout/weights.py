"""How much each n-gram tells of the rows of one subtask, learned from its training rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# An n-gram that fewer of the training rows have is rare and weighs 1. The weight of another falls
# with the logarithm of the share of rows that have it, to 0 where all rows have it.
RARE_SHARE = 1 / 200
# Added to the number of training rows: a handful of rows does not show what is rare among them.
_FEW_ROWS = 10
# Weights are stored as whole numbers, so that sums do not depend on the order of their terms: a
# row's verdict is the same whichever rows it is judged with.
FULL_WEIGHT = 255


@dataclass(frozen=True)
class Background:
    """The weights of an index's n-grams and texts for rows of one subtask."""

    of_ngram: Array
    """uint8 per n-gram: its weight in parts of `FULL_WEIGHT`, which a rare n-gram has."""
    of_text: Array
    """float32 per held-out text: the sum of its n-grams' weights, a rare one counting 1."""
    own: Array
    """float32 per held-out text: the same sum without n-grams that the text's context has too."""
    is_stem: Array
    """bool per held-out row: whether its question alone tells too little."""


def ngram_weights(counts: Array, rows: int) -> Array:
    """Weights from how many training rows have each n-gram.

    Args:
        counts: Training rows that have the n-gram, one number an n-gram.
        rows: All training rows; 0 makes every n-gram rare.

    Returns:
        uint8 per n-gram, in parts of `FULL_WEIGHT`.
    """
    import numpy as np

    share = np.maximum(counts, 1) / (rows + _FEW_ROWS)
    weights = np.where(counts, np.minimum(np.log(share) / log(RARE_SHARE), 1), 1)
    of_ngram: Array = np.rint(weights * FULL_WEIGHT).astype(np.uint8)
    return of_ngram
