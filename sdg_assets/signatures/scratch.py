"""The one-machine search over the stored signatures of many partitions, with bounded memory.

The files are read once, one after the other. Their matrices are written to scratch files, one per
band, so that each pass over a band is one sequential read. Memory holds a few numbers per row (80
bytes), one band, and the pairs under comparison.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sdg_assets.signatures.pairs import Indices
from sdg_assets.signatures.primitives import BANDS, PERMUTATIONS
from sdg_assets.signatures.refusals import EXACT, NEAR
from sdg_assets.signatures.search import exact_copies, near_copies, needed
from sdg_assets.signatures.shingles import PARTS
from sdg_assets.signatures.table import Signatures, best_first
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets.signatures.verdicts import CopiesOfKind, Verdicts
from sdg_assets.store.disk import SCRATCH

if TYPE_CHECKING:
    import polars as pl

_ROWS_PER_READ = 1 << 17


class Scratch:
    """Signatures of many partitions on disk, read by rank (see `RankedSignatures`)."""

    def __init__(self, directory: Path) -> None:
        """Starts without signatures.

        Args:
            directory: An empty directory for this search; needs 250 bytes per row.
        """
        self._directory = directory
        self._frames: list[pl.DataFrame] = []
        self.bands = BANDS
        self.rows: pl.DataFrame
        self._places: Indices

    def take(self, partitions: Mapping[str, Callable[[], bytes]]) -> None:
        """Reads every partition's file.

        Args:
            partitions: Name → a function that reads the file's content.

        Raises:
            StoreError: A file has another format.
        """
        import polars as pl

        with ExitStack() as stack:
            files = {
                name: stack.enter_context((self._directory / name).open("wb"))
                for name in ("parts", "present", *map(str, range(self.bands)))
            }
            for number, (name, read) in enumerate(sorted(partitions.items())):
                self._append(number, Signatures.from_parquet(read(), name), files)
        rows = pl.concat(self._frames)
        self._frames = []
        self._places = best_first(rows)
        self.rows = rows[self._places]

    def _append(self, number: int, signatures: Signatures, files: Mapping[str, IO[bytes]]) -> None:
        import polars as pl

        partition = pl.lit(number, pl.UInt32).alias("partition")
        self._frames.append(signatures.frame.with_row_index("place").with_columns(partition))
        files["parts"].write(signatures.parts.tobytes())
        files["present"].write(signatures.present.tobytes())
        for band in range(self.bands):
            files[str(band)].write(signatures.bands[:, band].tobytes())

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
        return np.fromfile(self._directory / str(number), np.uint32)[self._places]

    def parts(self, rows: Indices) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """See `RankedSignatures`."""
        places = self._places[rows]
        order = np.argsort(places)
        parts = self._gather("parts", len(PARTS) * PERMUTATIONS, places, order)
        present = self._gather("present", len(PARTS), places, order)
        return parts.reshape(-1, len(PARTS), PERMUTATIONS), present

    def _gather(self, name: str, width: int, places: Indices, order: Indices) -> NDArray[np.uint8]:
        # Explicit reads, not a memory map: mapped pages of the whole file would count as this
        # process's memory.
        gathered = np.empty((len(places), width), np.uint8)
        ascending = places[order]
        with (self._directory / name).open("rb") as file:
            for start in range(0, len(self._places), _ROWS_PER_READ):
                low, high = np.searchsorted(ascending, [start, start + _ROWS_PER_READ])
                if low < high:
                    file.seek(start * width)
                    block = np.fromfile(file, np.uint8, _ROWS_PER_READ * width).reshape(-1, width)
                    gathered[order[low:high]] = block[ascending[low:high] - start]
        return gathered


def search_local(
    partitions: Mapping[str, Callable[[], bytes]], thresholds: Callable[[str], DuplicateThresholds]
) -> Verdicts:
    """Finds the duplicates among the rows of all partitions.

    Args:
        partitions: Name → a function that reads the content of its signature file.
        thresholds: Name → the thresholds for rows of that partition.

    Raises:
        StoreError: A file has another format.
    """
    if not partitions:
        return Verdicts.of([], [])
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as directory:
        scratch = Scratch(Path(directory))
        scratch.take(partitions)
        exact = exact_copies(scratch.exact)
        left = np.setdiff1d(np.arange(len(scratch.rows)), exact.rows)
        least = needed(
            scratch.weak,
            [thresholds(name) for name in sorted(partitions)],
            scratch.rows["partition"].to_numpy(),
        )
        near = near_copies(scratch, left, least)
        results = [CopiesOfKind(EXACT, scratch.rows, exact), CopiesOfKind(NEAR, scratch.rows, near)]
        return Verdicts.of(sorted(partitions), results)
