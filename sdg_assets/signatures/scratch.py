"""Signatures of millions of rows on disk, and the one-machine search over those of a release.

Matrices are written to scratch files, one per band, so that each pass over a band is one sequential
read. Memory holds a few numbers per row (80 bytes), one band, and the pairs under comparison.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sdg_assets.signatures.pairs import Indices
from sdg_assets.signatures.primitives import BANDS, PERMUTATIONS
from sdg_assets.signatures.refusals import EXACT, NEAR
from sdg_assets.signatures.search import exact_copies, near_copies, needed
from sdg_assets.signatures.shingles import PARTS
from sdg_assets.signatures.table import Signatures, best_first, frame_of
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets.signatures.verdicts import CopiesOfKind, Verdicts
from sdg_assets.store.disk import SCRATCH, clear_errors

if TYPE_CHECKING:
    import polars as pl

_ROWS_PER_READ = 1 << 17
OpenFile = Callable[[], AbstractContextManager[IO[bytes]]]


class Scratch:
    """The matrices of signatures on disk, in the order in which they were added."""

    def __init__(self, directory: Path) -> None:
        """Starts without signatures.

        Args:
            directory: An empty directory; needs 250 bytes per row.
        """
        self._directory = directory
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, signatures: Signatures) -> None:
        """Appends the matrices of some rows; the caller keeps their frame.

        Raises:
            StoreError: The disk is full.
        """
        self._append("parts", signatures.parts)
        self._append("present", signatures.present)
        for number in range(BANDS):
            self._append(str(number), signatures.bands[:, number])
        self._rows += len(signatures)

    def band(self, number: int) -> NDArray[np.uint32]:
        """A band's hash of every row."""
        return self._read(str(number), np.uint32)

    def bands(self, places: Indices) -> NDArray[np.uint32]:
        """All bands of the given rows [rows, bands]."""
        bands = np.empty((len(places), BANDS), np.uint32)
        for number in range(BANDS):
            bands[:, number] = self.band(number)[places]
        return bands

    def parts(self, places: Indices) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """`parts` and `present` of the given rows."""
        order = np.argsort(places)
        parts = self._gather("parts", len(PARTS) * PERMUTATIONS, places, order)
        present = self._gather("present", len(PARTS), places, order)
        return parts.reshape(-1, len(PARTS), PERMUTATIONS), present

    def _append(self, name: str, matrix: NDArray[np.uint8] | NDArray[np.uint32]) -> None:
        path = self._directory / name
        with clear_errors(path, "TMPDIR"), path.open("ab") as file:
            file.write(matrix.tobytes())

    def _read(self, name: str, kind: type[np.uint32]) -> NDArray[np.uint32]:
        path = self._directory / name
        return np.fromfile(path, kind) if self._rows else np.empty(0, kind)

    def _gather(self, name: str, width: int, places: Indices, order: Indices) -> NDArray[np.uint8]:
        # Explicit reads, not a memory map: mapped pages of the whole file would count as this
        # process's memory.
        gathered = np.empty((len(places), width), np.uint8)
        if not len(places):
            return gathered
        ascending = places[order]
        with (self._directory / name).open("rb") as file:
            for start in range(0, self._rows, _ROWS_PER_READ):
                low, high = np.searchsorted(ascending, [start, start + _ROWS_PER_READ])
                if low < high:
                    file.seek(start * width)
                    block = np.fromfile(file, np.uint8, _ROWS_PER_READ * width).reshape(-1, width)
                    gathered[order[low:high]] = block[ascending[low:high] - start]
        return gathered


@dataclass(frozen=True)
class RankedScratch:
    """Rows of a scratch by rank (see `RankedSignatures`).

    Attributes:
        scratch: The matrices.
        rows: The rows' frame, by rank.
        places: For each of these rows, its place in the scratch.
    """

    scratch: Scratch
    rows: pl.DataFrame
    places: Indices
    bands: int = BANDS

    @property
    def exact(self) -> NDArray[np.uint64]:
        """See `RankedSignatures`."""
        return self.rows["exact"].to_numpy().view(np.uint64)

    @property
    def keys(self) -> NDArray[np.uint64]:
        """See `RankedSignatures`."""
        return self.rows["key"].to_numpy().view(np.uint64)

    @property
    def weak(self) -> NDArray[np.uint8]:
        """See `RankedSignatures`."""
        return self.rows["weak"].to_numpy()

    def band(self, number: int) -> NDArray[np.uint32]:
        """See `RankedSignatures`."""
        return self.scratch.band(number)[self.places]

    def parts(self, rows: Indices) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """See `RankedSignatures`."""
        return self.scratch.parts(self.places[rows])


def search_local(
    partitions: Mapping[str, OpenFile],
    thresholds: Callable[[str], DuplicateThresholds],
    without: Mapping[str, Sequence[int]],
) -> Verdicts:
    """Finds the duplicates among the rows of all partitions.

    Args:
        partitions: Name → a function that opens its signature file.
        thresholds: Name → the thresholds for rows of that partition.
        without: Name → places of rows that take no part.

    Raises:
        StoreError: A file has another format.
    """
    if not partitions:
        return Verdicts.of([], [])
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as directory:
        ranked = _ranked(partitions, Scratch(Path(directory)), without)
        exact = exact_copies(ranked.exact)
        left = np.setdiff1d(np.arange(len(ranked.rows)), exact.rows)
        least = needed(
            ranked.weak,
            [thresholds(name) for name in sorted(partitions)],
            ranked.rows["partition"].to_numpy(),
        )
        near = near_copies(ranked, left, least)
        results = [CopiesOfKind(EXACT, ranked.rows, exact), CopiesOfKind(NEAR, ranked.rows, near)]
        return Verdicts.of(sorted(partitions), results)


def _ranked(
    partitions: Mapping[str, OpenFile], scratch: Scratch, without: Mapping[str, Sequence[int]]
) -> RankedScratch:
    """The rows of all partitions that take part; each file is read once, one after the other."""
    import polars as pl

    frames, left_out = [], []
    for number, (name, opened) in enumerate(sorted(partitions.items())):
        place, partition = 0, pl.lit(number, pl.UInt32).alias("partition")
        left_out.append(np.asarray(without.get(name, ()), np.int64) + len(scratch))
        with opened() as file:
            for signatures in Signatures.batches(file, name):
                scratch.add(signatures)
                frame = signatures.frame.with_row_index("place", place)
                frames.append(frame.with_columns(partition))
                place += len(signatures)
    rows = pl.concat([_no_rows(), *frames])
    takes_part = np.ones(len(rows), np.bool_)
    takes_part[np.concatenate(left_out)] = False
    places = best_first(rows)
    places = places[takes_part[places]]
    return RankedScratch(scratch, rows[places], places)


def _no_rows() -> pl.DataFrame:
    import polars as pl

    partition = pl.lit(0, pl.UInt32).alias("partition")
    return frame_of([]).with_row_index("place").with_columns(partition)
