"""MinHash of shingled rows, many rows at a time.

Broder, "On the resemblance and containment of documents" (1997). Bands after Leskovec, Rajaraman
and Ullman, "Mining of Massive Datasets", ch. 3; see `primitives.py` for how many. To
estimate a similarity the lowest byte of each minimum is enough: Li and König, "b-bit minwise
hashing" (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sdg_assets.signatures.primitives import BAND_WIDTH, BANDS, PERMUTATIONS
from sdg_assets.signatures.shingles import PARTS, Shingled

# Shingles in half of a task's seeds are its frame ("Does the character in this scene show the
# trait …?"): they make all its rows alike. A handful of seeds does not show what the frame is.
FRAME_SHARE = 0.5
FRAME_SEEDS = 20
FRAME_SAMPLE = 2048
_SEED = 0x5D6
_NEVER = np.uint32(0xFFFFFFFF)
_HALF = np.uint64(32)
_NOWHERE = np.uint64(0xFFFFFFFFFFFFFFFF)
_ROWS_AT_ONCE = 512


def boilerplate_of(seeds: Sequence[Shingled]) -> NDArray[np.uint64]:
    """The shingles that say nothing of a row, because most seeds of its task have them.

    Args:
        seeds: The partition's seeds, in any number of batches.

    Returns:
        Sorted codes (place in `PARTS` << 32 | shingle); none for a handful of seeds, and none of a
        part that is nothing but frame in most seeds ("Which of these is the better one?"): it is
        the question, word for word.
    """
    rows = sum(len(batch) for batch in seeds)
    if rows < FRAME_SEEDS:
        return np.empty(0, np.uint64)
    # Those with the smallest hashes: a sample that does not depend on their order.
    smallest = np.sort(np.concatenate([batch.exact for batch in seeds]))[:FRAME_SAMPLE]
    found = [_distinct(batch, smallest[-1]) for batch in seeds]
    codes, counts = np.unique(np.concatenate([_codes(own) for own in found]), return_counts=True)
    frame = codes[counts >= FRAME_SHARE * len(smallest)]
    worded, telling = np.zeros(len(PARTS)), np.zeros(len(PARTS))
    for own in found:
        owners = own >> _HALF
        for count, some in ((worded, owners), (telling, owners[~np.isin(_codes(own), frame)])):
            places = np.unique(some) % np.uint64(len(PARTS))
            count += np.bincount(places.astype(np.int64), minlength=len(PARTS))
    return np.asarray(frame[(telling > worded / 2)[(frame >> _HALF).astype(np.int64)]])


def _distinct(rows: Shingled, largest: np.uint64) -> NDArray[np.uint64]:
    """Owner << 32 | shingle of the rows in the sample; one that a part has twice counts once."""
    drawn = (rows.exact <= largest)[rows.owners // len(PARTS)]
    own = np.sort(rows.owners[drawn].astype(np.uint64) << _HALF | rows.hashes[drawn])
    return own[np.flatnonzero(np.diff(own, append=_NOWHERE))]


def _codes(own: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return (own >> _HALF) % np.uint64(len(PARTS)) << _HALF | own & np.uint64(_NEVER)


def minhash(
    rows: Shingled, frame: NDArray[np.uint64]
) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint8]]:
    """The signatures of rows.

    Args:
        rows: As `shingled` makes them.
        frame: As `boilerplate_of` makes it. A row that is all frame keeps its shingles.

    Returns:
        `bands` [rows, bands]: a hash of each band, over all parts together. `parts` [rows, 3,
        permutations]: the lowest byte of each minimum. `present` [rows, 3]: 1 where the part has
        shingles.
    """
    bands = np.empty((len(rows), BANDS), np.uint32)
    parts = np.empty((len(rows), len(PARTS), PERMUTATIONS), np.uint8)
    present = np.empty((len(rows), len(PARTS)), np.uint8)
    telling = _telling(rows, frame)
    hashes, owners = rows.hashes[telling], rows.owners[telling]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, len(rows))
        low, high = np.searchsorted(owners, [start * len(PARTS), stop * len(PARTS)])
        minima = _minima(hashes[low:high], owners[low:high] - start * len(PARTS), stop - start)
        bands[start:stop] = _bands(minima.min(axis=1))
        present[start:stop] = (minima != _NEVER).any(axis=2)
        parts[start:stop] = (minima & np.uint32(0xFF)) * present[start:stop, :, None]
    return bands, parts, present


def _telling(rows: Shingled, frame: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(frame):
        return np.ones(len(rows.hashes), bool)
    place = (rows.owners % len(PARTS)).astype(np.uint64)
    telling = ~np.isin(place << _HALF | rows.hashes, frame)
    row = rows.owners // len(PARTS)
    left = np.bincount(row[telling], minlength=len(rows))
    return np.asarray(telling | (left == 0)[row])


def _minima(hashes: NDArray[np.uint32], owners: NDArray[np.int64], rows: int) -> NDArray[np.uint32]:
    """Minimum under each permutation [rows, 3, permutations]; `_NEVER` for an empty part."""
    minima = np.full((rows * len(PARTS), PERMUTATIONS), _NEVER)
    if len(hashes):
        distinct, places = np.unique(hashes, return_inverse=True)
        multipliers, addends = _permutations()
        # Multiply-shift (Dietzfelbinger 1996): universal, and no division.
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
    # numpy has frozen RandomState's streams; a Generator's may change with the version.
    drawn = np.random.RandomState(_SEED).randint(0, 1 << 32, (4, PERMUTATIONS), np.uint64)
    multipliers, addends = drawn[:2] << _HALF | drawn[2:]
    return multipliers | np.uint64(1), addends
