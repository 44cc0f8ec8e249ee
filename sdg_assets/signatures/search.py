"""The search for duplicates over signatures on one machine, in memory or in scratch files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sdg_assets.signatures.pairs import Copies, Indices, bucket_pairs, resolve, similarity
from sdg_assets.signatures.table import Signatures
from sdg_assets.signatures.thresholds import DuplicateThresholds

PAIRS_AT_ONCE = 1 << 22
"""Pairs whose signatures are in memory together, at most 1 GB; each batch reads all files once."""
PAIRS_KEPT = 1 << 24
"""Candidate pairs collected before they are compared: 128 MB."""


class RankedSignatures(Protocol):
    """Signatures of rows that are numbered by rank: 0 is the best row."""

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
        """The number of bands."""
        ...

    def band(self, number: int) -> NDArray[np.uint32]:
        """A band's hash of every row."""
        ...

    def parts(self, rows: Indices) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """`parts` and `present` of the given rows; their numbers ascend."""
        ...


@dataclass(frozen=True)
class InMemory:
    """A table of signatures, read by rank. It is not copied into that order."""

    table: Signatures
    order: Indices
    """The rows' positions, the best first."""

    @property
    def exact(self) -> NDArray[np.uint64]:
        """See `RankedSignatures`."""
        return self.table.frame["exact"].to_numpy().view(np.uint64)[self.order]

    @property
    def keys(self) -> NDArray[np.uint64]:
        """See `RankedSignatures`."""
        return self.table.frame["key"].to_numpy().view(np.uint64)[self.order]

    @property
    def weak(self) -> NDArray[np.uint8]:
        """See `RankedSignatures`."""
        return self.table.frame["weak"].to_numpy()[self.order]

    @property
    def bands(self) -> int:
        """See `RankedSignatures`."""
        return int(self.table.bands.shape[1])

    def band(self, number: int) -> NDArray[np.uint32]:
        """See `RankedSignatures`."""
        return np.asarray(self.table.bands[:, number])[self.order]

    def parts(self, rows: Indices) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """See `RankedSignatures`."""
        return self.table.parts[self.order[rows]], self.table.present[self.order[rows]]


def exact_copies(exact: NDArray[np.uint64]) -> Copies:
    """Of each group of equal rows, all but the best.

    Args:
        exact: Each row's hash, by rank.
    """
    pairs = bucket_pairs(exact, np.arange(len(exact)), leaders=1)
    order = np.argsort(pairs.worse)
    return Copies(pairs.worse[order], pairs.better[order], np.ones(len(order), np.float32))


def near_copies(
    signatures: RankedSignatures, rows: Indices, least: NDArray[np.float32], seeds: int = 0
) -> Copies:
    """The rows that are similar to a better row.

    Args:
        signatures: The signatures, by rank.
        rows: The numbers of the rows to compare, ascending. No two are exact duplicates.
        least: For each row, by rank, the similarity to a better row that makes it a duplicate; see
            `needed`.
        seeds: The first `seeds` rows are seeds: they all stay, and rows are compared with them
            only. With 0, rows are compared with one another; searching the rows that stay again
            then finds nothing.
    """
    rounds: list[Copies] = []
    while len(rows):
        better, worse, similarities, crowded = _candidates(signatures, rows, least, seeds)
        copies = resolve(better, worse, similarities)
        rounds.append(copies)
        # Crowded buckets were not compared completely. Other rows lead what is left of them.
        rows = np.setdiff1d(crowded, copies.rows)
        if not len(copies.rows) or seeds:
            break
    return joined(rounds)


def joined(copies: list[Copies]) -> Copies:
    """Joins results that name different rows."""
    if not copies:
        return Copies(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    rows = np.concatenate([c.rows for c in copies])
    order = np.argsort(rows)
    originals = np.concatenate([c.originals for c in copies])
    similarities = np.concatenate([c.similarities for c in copies])
    return Copies(rows[order], originals[order], similarities[order])


def bucket_hashes(keys: NDArray[np.uint64], band: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Bucket hashes; equal for rows with equal keys and equal bands."""
    mixed = band * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= keys
    return mixed


def _candidates(
    signatures: RankedSignatures, rows: Indices, least: NDArray[np.float32], seeds: int
) -> tuple[Indices, Indices, NDArray[np.float32], Indices]:
    """Similar pairs, each once, with their similarities; and the rows of crowded buckets."""
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
    codes, first = np.unique(np.concatenate([codes for codes, _ in similar]), return_index=True)
    similarities = np.concatenate([estimates for _, estimates in similar])[first]
    return codes >> 32, codes & 0xFFFFFFFF, similarities, np.unique(np.concatenate(crowded))


def _similar(
    signatures: RankedSignatures, codes: Indices, least: NDArray[np.float32]
) -> tuple[Indices, NDArray[np.float32]]:
    better, worse = codes >> 32, codes & 0xFFFFFFFF
    empty = np.empty(0, np.float32)
    similarities = np.concatenate([empty, *_estimates(signatures, better, worse)])
    is_similar = similarities >= least[worse]
    return codes[is_similar], similarities[is_similar]


def needed(
    weak: NDArray[np.uint8],
    thresholds: Sequence[DuplicateThresholds],
    partitions: NDArray[np.integer[Any]] | int = 0,
) -> NDArray[np.float32]:
    """The similarity from which each row is a duplicate, by the thresholds of its own task.

    Args:
        weak: 1 for rows whose answer carries little information.
        thresholds: The thresholds of each partition, by its number.
        partitions: The number of each row's partition.
    """
    strict = np.array([t.near_duplicate_similarity_weak_answer for t in thresholds], np.float32)
    loose = np.array([t.near_duplicate_similarity for t in thresholds], np.float32)
    return np.where(weak == 1, strict[partitions], loose[partitions])


def _estimates(
    signatures: RankedSignatures, better: Indices, worse: Indices
) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(better), PAIRS_AT_ONCE):
        left, right = better[start : start + PAIRS_AT_ONCE], worse[start : start + PAIRS_AT_ONCE]
        rows = np.union1d(left, right)
        parts, present = signatures.parts(rows)
        left, right = np.searchsorted(rows, left), np.searchsorted(rows, right)
        for low in range(0, len(left), 1 << 14):  # fits into a CPU cache
            a, b = left[low : low + (1 << 14)], right[low : low + (1 << 14)]
            yield similarity(parts[a], present[a], parts[b], present[b])
