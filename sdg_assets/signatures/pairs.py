"""From buckets of rows that look alike to the rows that stay: pure functions over arrays.

Rows are numbers in the order of their standing: of two copies the one with the smaller number is
the better one. The one-machine search and the distributed one both run these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEADERS = 16
"""In a bucket with more rows than this each row is compared with so many of the best only."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Rows to compare.

    Attributes:
        better: Smaller number of each pair.
        worse: Larger number.
        crowded: Rows of buckets where not every pair was made.
    """

    better: Indices
    worse: Indices
    crowded: Indices


def bucket_pairs(hashes: NDArray[np.uint64], rows: Indices, leaders: int = LEADERS) -> Pairs:
    """Pairs the rows that share a hash.

    Args:
        hashes: Each row's bucket.
        rows: Their numbers, ascending.
        leaders: How many of a bucket's best rows all others are compared with; a frame that a
            hundred thousand rows share would else make billions of pairs.
    """
    order = np.argsort(hashes)
    ordered = hashes[order]
    shared = np.zeros(len(order), bool)
    same = ordered[1:] == ordered[:-1]
    shared[1:] |= same
    shared[:-1] |= same
    order = order[shared]
    order = order[np.lexsort((order, hashes[order]))]
    starts = np.flatnonzero(hashes[order][1:] != hashes[order][:-1]) + 1
    sizes = np.diff(starts, prepend=0, append=len(order)) if len(order) else starts
    rows_in = rows[order]
    start = np.repeat(np.cumsum(sizes) - sizes, sizes)
    place = np.arange(len(order)) - start
    better, worse = [], []
    for leader in range(leaders):
        behind = np.flatnonzero(place > leader)
        if not len(behind):
            break
        better.append(rows_in[start[behind] + leader])
        worse.append(rows_in[behind])
    crowded = rows_in[np.repeat(sizes > leaders + 1, sizes)]
    empty = np.empty(0, np.int64)
    return Pairs(np.concatenate([empty, *better]), np.concatenate([empty, *worse]), crowded)


def similarity(
    parts: NDArray[np.uint8],
    present: NDArray[np.uint8],
    other_parts: NDArray[np.uint8],
    other_present: NDArray[np.uint8],
) -> NDArray[np.float32]:
    """Estimates how alike rows are: the Jaccard similarity of their least similar part.

    Args:
        parts: [pairs, parts, permutations], as `minhash` makes them.
        present: [pairs, parts].
        other_parts: Of the other row of each pair.
        other_present: Likewise.

    Returns:
        0 where one row has a part that the other has not.
    """
    equal = (parts == other_parts).mean(axis=2, dtype=np.float32)
    # Two bytes agree by chance once in 256.
    estimate = np.maximum((equal - 1 / 256) / (1 - 1 / 256), 0)
    estimate[(present | other_present) == 0] = 1
    estimate[present != other_present] = 0
    return np.asarray(estimate.min(axis=1), np.float32)


@dataclass(frozen=True)
class Copies:
    """The rows that do not stay.

    Attributes:
        rows: Their numbers, ascending.
        originals: For each the row that stays in its place.
        similarities: How alike the two are, 0 to 1.
    """

    rows: Indices
    originals: Indices
    similarities: NDArray[np.float32]


def settle(better: Indices, worse: Indices, similarities: NDArray[np.float32]) -> Copies:
    """Decides which rows stay: a row goes if and only if a better one that stays is like it.

    So every refused row has its original among the rows that stay, no two that stay are alike, and
    a chain of small steps does not make its ends copies of each other, as connected components
    would. The greedy rule in order of standing, worked out in rounds.

    Args:
        better: Smaller number of each similar pair.
        worse: Larger number.
        similarities: Of each pair.
    """
    names, numbered = np.unique(np.concatenate([better, worse]), return_inverse=True)
    left, right = np.split(numbered, 2)
    stays, goes = np.zeros(len(names), bool), np.zeros(len(names), bool)
    while not (stays | goes).all():
        open_edges = ~(goes[left] | goes[right])
        blocked = np.zeros(len(names), bool)
        blocked[right[open_edges]] = True
        stays |= ~(blocked | goes)
        goes[right[stays[left]]] = True
    deciding = np.flatnonzero(stays[left] & goes[right])
    deciding = deciding[np.lexsort((better[deciding], worse[deciding]))]
    rows, chosen = np.unique(worse[deciding], return_index=True)
    chosen = deciding[chosen]
    return Copies(rows, better[chosen], similarities[chosen])
