"""The search for copies over signatures that one machine holds, in memory or in scratch files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sdg_assets.signatures.pairs import Copies, Indices, bucket_pairs, settle, similarity
from sdg_assets.signatures.table import Signatures
from sdg_assets.signatures.thresholds import DuplicateThresholds

PAIRS_AT_ONCE = 1 << 22
"""Pairs whose signatures are in memory together, 1 GB at the most; each time all are read once."""
PAIRS_KEPT = 1 << 24
"""Candidates that are collected before they are compared: 128 MB."""


class Standing(Protocol):
    """Signatures, numbered by the standing of their rows: 0 is the best."""

    @property
    def exact(self) -> NDArray[np.uint64]:
        """See `Shingled`."""
        ...

    @property
    def keys(self) -> NDArray[np.uint64]:
        """See `Shingled`."""
        ...

    @property
    def weak(self) -> NDArray[np.uint8]:
        """See `Shingled`."""
        ...

    @property
    def bands(self) -> int:
        """How many there are."""
        ...

    def band(self, number: int) -> NDArray[np.uint32]:
        """A band's hash for every row."""
        ...

    def parts(self, rows: Indices) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """`parts` and `present` of rows whose numbers ascend."""
        ...


@dataclass(frozen=True)
class InMemory:
    """A table of signatures whose rows are in order already."""

    table: Signatures

    @property
    def exact(self) -> NDArray[np.uint64]:
        """See `Standing`."""
        return self.table.frame["exact"].to_numpy().view(np.uint64)

    @property
    def keys(self) -> NDArray[np.uint64]:
        """See `Standing`."""
        return self.table.frame["key"].to_numpy().view(np.uint64)

    @property
    def weak(self) -> NDArray[np.uint8]:
        """See `Standing`."""
        return self.table.frame["weak"].to_numpy()

    @property
    def bands(self) -> int:
        """See `Standing`."""
        return int(self.table.bands.shape[1])

    def band(self, number: int) -> NDArray[np.uint32]:
        """See `Standing`."""
        return np.asarray(self.table.bands[:, number])

    def parts(self, rows: Indices) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """See `Standing`."""
        return self.table.parts[rows], self.table.present[rows]


def exact_copies(exact: NDArray[np.uint64]) -> Copies:
    """All rows but the best of those that are equal.

    Args:
        exact: Each row's hash, by standing.
    """
    pairs = bucket_pairs(exact, np.arange(len(exact)), leaders=1)
    order = np.argsort(pairs.worse)
    return Copies(pairs.worse[order], pairs.better[order], np.ones(len(order), np.float32))


def near_copies(
    signatures: Standing, rows: Indices, least: NDArray[np.float32], seeds: int = 0
) -> Copies:
    """The rows that are nearly like a better one.

    Args:
        signatures: By standing.
        rows: The numbers of those that are looked at, ascending. No two are exact copies.
        least: What similarity to a better row makes each row a copy, by standing; see `needed`.
        seeds: So many of the first numbers are seeds. They all stay; without any, rows are
            compared with one another, and searching again among those that stay finds nothing.
    """
    found: list[Copies] = []
    while len(rows):
        better, worse, similarities, crowded = _candidates(signatures, rows, least, seeds)
        copies = settle(better, worse, similarities)
        found.append(copies)
        # In a crowded bucket not all were compared. Among those that are left, others lead now.
        rows = np.setdiff1d(crowded, copies.rows)
        if not len(copies.rows) or seeds:
            break
    return joined(found)


def joined(copies: list[Copies]) -> Copies:
    """Findings that name different rows, as one."""
    if not copies:
        return Copies(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    rows = np.concatenate([c.rows for c in copies])
    order = np.argsort(rows)
    originals = np.concatenate([c.originals for c in copies])
    similarities = np.concatenate([c.similarities for c in copies])
    return Copies(rows[order], originals[order], similarities[order])


def bucket_hashes(keys: NDArray[np.uint64], band: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Equal for rows with equal key and equal band."""
    mixed = band * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= keys
    return mixed


def _candidates(
    signatures: Standing, rows: Indices, least: NDArray[np.float32], seeds: int
) -> tuple[Indices, Indices, NDArray[np.float32], Indices]:
    """Pairs that are similar enough, each once, how alike they are; rows of crowded buckets."""
    keys = signatures.keys[rows]
    similar: list[tuple[Indices, NDArray[np.float32]]] = []
    waiting: list[Indices] = []
    crowded: list[Indices] = []
    for number in range(signatures.bands):
        pairs = bucket_pairs(bucket_hashes(keys, signatures.band(number)[rows]), rows)
        crowded.append(pairs.crowded)
        codes = pairs.better << 32 | pairs.worse
        if seeds:
            codes = codes[(pairs.better < seeds) & (pairs.worse >= seeds)]
        waiting.append(codes)
        if sum(map(len, waiting)) > PAIRS_KEPT or number == signatures.bands - 1:
            similar.append(_similar(signatures, np.unique(np.concatenate(waiting)), least))
            waiting = []
    found, first = np.unique(np.concatenate([codes for codes, _ in similar]), return_index=True)
    similarities = np.concatenate([alike for _, alike in similar])[first]
    return found >> 32, found & 0xFFFFFFFF, similarities, np.unique(np.concatenate(crowded))


def _similar(
    signatures: Standing, codes: Indices, least: NDArray[np.float32]
) -> tuple[Indices, NDArray[np.float32]]:
    better, worse = codes >> 32, codes & 0xFFFFFFFF
    none = np.empty(0, np.float32)
    alike = np.concatenate([none, *_estimates(signatures, better, worse)])
    enough = alike >= least[worse]
    return codes[enough], alike[enough]


def needed(
    weak: NDArray[np.uint8],
    thresholds: Sequence[DuplicateThresholds],
    partitions: NDArray[np.integer[Any]] | int = 0,
) -> NDArray[np.float32]:
    """The similarity that makes rows copies: where their own task draws the line.

    Args:
        weak: 1 for rows whose answer says little.
        thresholds: Of each partition, by its number.
        partitions: The number of each row's partition.
    """
    strict = np.array([t.near_duplicate_similarity_weak_answer for t in thresholds], np.float32)
    loose = np.array([t.near_duplicate_similarity for t in thresholds], np.float32)
    return np.where(weak == 1, strict[partitions], loose[partitions])


def _estimates(
    signatures: Standing, better: Indices, worse: Indices
) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(better), PAIRS_AT_ONCE):
        left, right = better[start : start + PAIRS_AT_ONCE], worse[start : start + PAIRS_AT_ONCE]
        rows = np.union1d(left, right)
        parts, present = signatures.parts(rows)
        left, right = np.searchsorted(rows, left), np.searchsorted(rows, right)
        for low in range(0, len(left), 1 << 14):  # what fits a cache
            a, b = left[low : low + (1 << 14)], right[low : low + (1 << 14)]
            yield similarity(parts[a], present[a], parts[b], present[b])
