"""MinHash signatures of shingled rows, computed for many rows at a time.

Source: Broder, "On the resemblance and containment of documents" (1997). Bands: Leskovec,
Rajaraman and Ullman, "Mining of Massive Datasets", ch. 3; their number is in `primitives.py`. The
lowest byte of each minimum is enough to estimate a similarity: Li and König, "b-bit minwise
hashing" (2010).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sdg_assets.signatures.primitives import BAND_WIDTH, BANDS, PERMUTATIONS
from sdg_assets.signatures.shingles import PARTS, Shingled

# Shingles in half of a task's seeds are boilerplate ("Does the character in this scene show the
# trait …?"): they make all its rows similar. A handful of seeds does not show the boilerplate.
BOILERPLATE_SHARE = 0.5
BOILERPLATE_SEEDS = 20
BOILERPLATE_SAMPLE = 2048
_SEED = 0x5D6
_NEVER = np.uint32(0xFFFFFFFF)
_HALF = np.uint64(32)
_NOWHERE = np.uint64(0xFFFFFFFFFFFFFFFF)
_ROWS_AT_ONCE = 512


def boilerplate_of(seeds: Iterable[Shingled]) -> NDArray[np.uint64]:
    """The boilerplate shingles of a task: most seeds have them, so they do not distinguish rows.

    Args:
        seeds: The partition's seeds, in any number of batches; one of them is in memory at a time.

    Returns:
        Sorted codes (position in `PARTS` << 32 | shingle). Empty if there are fewer than
        `BOILERPLATE_SEEDS` seeds. A part that is only boilerplate in most seeds ("Which of these is
        the better one?") has no codes: there, these words are the question itself.
    """
    # The seeds with the smallest hashes: a sample that does not depend on the order of the seeds.
    smallest = np.empty(0, np.uint64)
    rows, candidates = 0, list[tuple[NDArray[np.uint64], NDArray[np.uint64]]]()
    for batch in filter(len, seeds):
        rows += len(batch)
        smallest = np.sort(np.concatenate([smallest, batch.exact]))[:BOILERPLATE_SAMPLE]
        # What is above the limit now will be above the last one, too.
        candidates.append((batch.exact, _distinct(batch, smallest[-1])))
    if rows < BOILERPLATE_SEEDS:
        return np.empty(0, np.uint64)
    sampled = [
        own[(exact <= smallest[-1])[(own >> _HALF) // len(PARTS)]] for exact, own in candidates
    ]
    codes, counts = np.unique(np.concatenate([_codes(own) for own in sampled]), return_counts=True)
    boilerplate = codes[counts >= BOILERPLATE_SHARE * len(smallest)]
    with_words, distinctive = np.zeros(len(PARTS)), np.zeros(len(PARTS))
    for own in sampled:
        owners = own >> _HALF
        other_owners = owners[~np.isin(_codes(own), boilerplate)]
        for count, part_owners in ((with_words, owners), (distinctive, other_owners)):
            places = np.unique(part_owners) % np.uint64(len(PARTS))
            count += np.bincount(places.astype(np.int64), minlength=len(PARTS))
    has_own_words = (distinctive > with_words / 2)[(boilerplate >> _HALF).astype(np.int64)]
    return np.asarray(boilerplate[has_own_words])


def _distinct(rows: Shingled, largest: np.uint64) -> NDArray[np.uint64]:
    """Distinct values (owner << 32 | shingle) of the rows in the sample, sorted."""
    is_sampled = (rows.exact <= largest)[rows.owners // len(PARTS)]
    own = np.sort(rows.owners[is_sampled].astype(np.uint64) << _HALF | rows.hashes[is_sampled])
    return own[np.flatnonzero(np.diff(own, append=_NOWHERE))]


def _codes(own: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return (own >> _HALF) % np.uint64(len(PARTS)) << _HALF | own & np.uint64(_NEVER)


def minhash(
    rows: Shingled, boilerplate: NDArray[np.uint64]
) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint8]]:
    """Computes the signatures of rows.

    Args:
        rows: The rows, from `shingled`.
        boilerplate: From `boilerplate_of`. A row of boilerplate only keeps its shingles.

    Returns:
        `bands` [rows, bands]: a hash of each band, over all parts together. `parts` [rows, 3,
        permutations]: the lowest byte of each minimum. `present` [rows, 3]: 1 if the part has
        shingles.
    """
    bands = np.empty((len(rows), BANDS), np.uint32)
    parts = np.empty((len(rows), len(PARTS), PERMUTATIONS), np.uint8)
    present = np.empty((len(rows), len(PARTS)), np.uint8)
    is_kept = _distinctive(rows, boilerplate)
    hashes, owners = rows.hashes[is_kept], rows.owners[is_kept]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, len(rows))
        low, high = np.searchsorted(owners, [start * len(PARTS), stop * len(PARTS)])
        minima = _minima(hashes[low:high], owners[low:high] - start * len(PARTS), stop - start)
        bands[start:stop] = _bands(minima.min(axis=1))
        present[start:stop] = (minima != _NEVER).any(axis=2)
        parts[start:stop] = (minima & np.uint32(0xFF)) * present[start:stop, :, None]
    return bands, parts, present


def _distinctive(rows: Shingled, boilerplate: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(boilerplate):
        return np.ones(len(rows.hashes), bool)
    place = (rows.owners % len(PARTS)).astype(np.uint64)
    distinctive = ~np.isin(place << _HALF | rows.hashes, boilerplate)
    row = rows.owners // len(PARTS)
    left = np.bincount(row[distinctive], minlength=len(rows))
    return np.asarray(distinctive | (left == 0)[row])


def _minima(hashes: NDArray[np.uint32], owners: NDArray[np.int64], rows: int) -> NDArray[np.uint32]:
    """The minimum under each permutation [rows, 3, permutations]; `_NEVER` for an empty part."""
    minima = np.full((rows * len(PARTS), PERMUTATIONS), _NEVER)
    if len(hashes):
        distinct, places = np.unique(hashes, return_inverse=True)
        multipliers, addends = _permutations()
        # Multiply-shift hashing (Dietzfelbinger 1996) is universal and needs no division.
        permuted = ((distinct[:, None] * multipliers + addends) >> _HALF).astype(np.uint32)
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        minima[owners[starts]] = np.minimum.reduceat(permuted[places], starts, axis=0)
    return minima.reshape(rows, len(PARTS), PERMUTATIONS)


def _bands(minima: NDArray[np.uint32]) -> NDArray[np.uint32]:
    banded = minima[:, : BANDS * BAND_WIDTH]
    values = banded.reshape(-1, BANDS, BAND_WIDTH).astype(np.uint64)
    mixed = np.zeros(values.shape[:2], np.uint64)
    for place in range(BAND_WIDTH):
        mixed = (mixed ^ values[:, :, place]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return (mixed >> _HALF).astype(np.uint32)


@lru_cache(maxsize=1)
def _permutations() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    # numpy guarantees RandomState's streams; those of a Generator may change between versions.
    drawn = np.random.RandomState(_SEED).randint(0, 1 << 32, (4, PERMUTATIONS), np.uint64)
    multipliers, addends = drawn[:2] << _HALF | drawn[2:]
    return multipliers | np.uint64(1), addends
