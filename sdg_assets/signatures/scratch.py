"""One machine's search over the stored signatures of many partitions, with bounded memory.

The files are read once, one after the other, and their matrices put into scratch files, band after
band, so that each pass over a band is one read from disk to disk's end. In memory stay a few
numbers a row (80 bytes), one band, and the pairs under comparison.
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
from sdg_assets.signatures.table import Signatures, by_standing
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets.signatures.verdicts import Found, Verdicts
from sdg_assets.store.disk import SCRATCH

if TYPE_CHECKING:
    import polars as pl

_ROWS_A_READ = 1 << 17


class Scratch:
    """Signatures of many partitions on disk, read by the standing of their rows (`Standing`)."""

    def __init__(self, directory: Path) -> None:
        """Starts empty.

        Args:
            directory: For this search alone; needs 250 bytes a row.
        """
        self._directory = directory
        self._frames: list[pl.DataFrame] = []
        self.bands = BANDS
        self.rows: pl.DataFrame
        self._places: Indices

    def take(self, partitions: Mapping[str, Callable[[], bytes]]) -> None:
        """Reads every partition's file.

        Args:
            partitions: Name → reads the file's content.

        Raises:
            StoreError: A file is of another format.
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
        self._places = by_standing(rows)
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
        """See `Standing`."""
        return self.rows["exact"].to_numpy().view(np.uint64)

    @property
    def keys(self) -> NDArray[np.uint64]:
        """See `Standing`."""
        return self.rows["key"].to_numpy().view(np.uint64)

    @property
    def weak(self) -> NDArray[np.uint8]:
        """See `Standing`."""
        return self.rows["weak"].to_numpy()

    def band(self, number: int) -> NDArray[np.uint32]:
        """See `Standing`."""
        return np.fromfile(self._directory / str(number), np.uint32)[self._places]

    def parts(self, rows: Indices) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """See `Standing`."""
        places = self._places[rows]
        order = np.argsort(places)
        parts = self._gather("parts", len(PARTS) * PERMUTATIONS, places, order)
        present = self._gather("present", len(PARTS), places, order)
        return parts.reshape(-1, len(PARTS), PERMUTATIONS), present

    def _gather(self, name: str, width: int, places: Indices, order: Indices) -> NDArray[np.uint8]:
        # Reads, not a map: mapped pages would count as this process's memory, the whole file's.
        found = np.empty((len(places), width), np.uint8)
        ascending = places[order]
        with (self._directory / name).open("rb") as file:
            for start in range(0, len(self._places), _ROWS_A_READ):
                low, high = np.searchsorted(ascending, [start, start + _ROWS_A_READ])
                if low < high:
                    file.seek(start * width)
                    block = np.fromfile(file, np.uint8, _ROWS_A_READ * width).reshape(-1, width)
                    found[order[low:high]] = block[ascending[low:high] - start]
        return found


def search_local(
    partitions: Mapping[str, Callable[[], bytes]], thresholds: Callable[[str], DuplicateThresholds]
) -> Verdicts:
    """Finds the copies among the rows of all partitions.

    Args:
        partitions: Name → reads the content of its signature file.
        thresholds: Name → where a row of that partition is a near copy.

    Raises:
        StoreError: A file is of another format.
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
        found = [Found(EXACT, scratch.rows, exact), Found(NEAR, scratch.rows, near)]
        return Verdicts.of(sorted(partitions), found)
