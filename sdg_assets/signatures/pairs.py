"""From buckets of similar rows to the rows that stay: pure functions over arrays.

Rows are numbered by rank, best first: of two duplicates, the one with the smaller number is better.
The one-machine search and the distributed one both use these functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEADERS = 16
"""In larger buckets, each row is compared only with this many of the bucket's best rows."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows to compare.

    Attributes:
        better: The smaller number of each pair.
        worse: The larger number of each pair.
        crowded: Rows of buckets in which not every pair was made.
    """

    better: Indices
    worse: Indices
    crowded: Indices


def bucket_pairs(hashes: NDArray[np.uint64], rows: Indices, leaders: int = LEADERS) -> Pairs:
    """Pairs the rows that share a hash.

    Args:
        hashes: Each row's bucket.
        rows: The numbers of the rows, ascending.
        leaders: All rows of a bucket are compared with this many of its best rows. Without a limit,
            boilerplate that a hundred thousand rows share would make billions of pairs.
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
    """Estimates how similar paired rows are: the Jaccard similarity of their least similar part.

    Args:
        parts: [pairs, parts, permutations], from `minhash`.
        present: [pairs, parts].
        other_parts: The same for the other row of each pair.
        other_present: The same for the other row of each pair.

    Returns:
        [pairs], 0 to 1; 0 if only one of the two rows has a part.
    """
    equal = (parts == other_parts).mean(axis=2, dtype=np.float32)
    # Two random bytes are equal once in 256 times.
    estimate = np.maximum((equal - 1 / 256) / (1 - 1 / 256), 0)
    estimate[(present | other_present) == 0] = 1
    estimate[present != other_present] = 0
    return np.asarray(estimate.min(axis=1), np.float32)


@dataclass(frozen=True)
class Copies:
    """The rows that do not stay.

    Attributes:
        rows: Their numbers, ascending.
        originals: For each of them, the row that stays in its place.
        similarities: For each of them, the similarity of the two, 0 to 1.
    """

    rows: Indices
    originals: Indices
    similarities: NDArray[np.float32]


def resolve(better: Indices, worse: Indices, similarities: NDArray[np.float32]) -> Copies:
    """Decides which rows stay: a row is dropped if and only if a better row that stays is similar.

    So every dropped row has an original that stays, and no two rows that stay are similar. A chain
    of small steps does not make its ends duplicates of each other, as connected components would.
    This is the greedy rule in the order of rank, computed in rounds.

    Args:
        better: The smaller number of each similar pair.
        worse: The larger number of each similar pair.
        similarities: The similarity of each pair.
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
    rows, first = np.unique(worse[deciding], return_index=True)
    kept = deciding[first]
    return Copies(rows, better[kept], similarities[kept])
