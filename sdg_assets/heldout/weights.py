"""Weights n-grams by how distinctive they are in one subtask, learned from its training rows."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# An n-gram in a smaller share of the training rows is rare and weighs 1. The weight of others falls
# with the logarithm of the share of rows that have them, to 0 if all rows do.
RARE_SHARE = 1 / 200
# Added to the number of training rows, because a handful of rows does not show which n-grams are
# rare.
_FEW_ROWS = 10
# Weights are stored as integers, so that sums do not depend on the order of their terms: a row's
# verdict must not depend on the other rows in its batch.
FULL_WEIGHT = 255


@dataclass(frozen=True)
class Background:
    """The weights of an index's n-grams and texts for rows of one subtask."""

    of_ngram: Array
    """uint8 per n-gram: its weight in units of `1 / FULL_WEIGHT`; a rare n-gram has 255."""
    of_text: Array
    """float32 per held-out text: the sum of its n-grams' weights, where a rare one counts 1."""
    own: Array
    """float32 per held-out text: the same sum without the n-grams of the text's own context."""
    is_stem: Array
    """bool per held-out row: whether its question alone is not distinctive."""


def ngram_weights(counts: Array, rows: int) -> Array:
    """Computes weights from the number of training rows that have each n-gram.

    Args:
        counts: For each n-gram, the number of training rows that have it.
        rows: The number of training rows; with 0, every n-gram is rare.

    Returns:
        uint8 per n-gram, in units of `1 / FULL_WEIGHT`.
    """
    import numpy as np

    share = np.maximum(counts, 1) / (rows + _FEW_ROWS)
    weights = np.where(counts, np.minimum(np.log(share) / log(RARE_SHARE), 1), 1)
    of_ngram: Array = np.rint(weights * FULL_WEIGHT).astype(np.uint8)
    return of_ngram
