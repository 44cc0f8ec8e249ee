"""Rows of a partition in a temporary file, to be read in any order without holding them all.

A seed takes about 4 KB of memory as a record: two million of them would take 8 GB.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from more_itertools import chunked

from sdg_assets.store.disk import SCRATCH, clear_errors, temporary_directory
from sdg_assets.store.rows import RecordT, line_of

CACHED_ROWS = 1 << 15
"""Rows that are kept as records: a smaller partition is read from the file only once."""
ROWS_PER_READ = 256


class RowFile(Sequence[RecordT]):
    """A sequence of rows on disk. Memory holds 8 bytes a row, and `CACHED_ROWS` records."""

    def __init__(self, record: type[RecordT], rows: Iterable[RecordT]) -> None:
        """Writes the rows.

        Args:
            record: The rows' class.
            rows: The rows; they are read once.

        Raises:
            StoreError: The disk is full, or there is no directory for temporary files.
        """
        self._record = record
        self._offsets = array("Q", [0])
        self._cached: dict[int, RecordT] = {}
        with clear_errors(temporary_directory(), "TMPDIR"):
            self._file = tempfile.TemporaryFile(prefix=SCRATCH)  # noqa: SIM115 – closed with this
        for some in chunked(rows, ROWS_PER_READ):
            lines = [line_of(row) for row in some]
            with clear_errors(temporary_directory(), "TMPDIR"):
                self._file.write(b"".join(lines))
            for place, (row, line) in enumerate(zip(some, lines, strict=True), start=len(self)):
                self._offsets.append(self._offsets[-1] + len(line))
                if place < CACHED_ROWS:
                    self._cached[place] = row
        with clear_errors(temporary_directory(), "TMPDIR"):
            self._file.flush()

    def __getstate__(self) -> dict[str, Any]:
        """Another process gets the open file and reads the records itself."""
        return {**vars(self), "_cached": {}}

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, place: int) -> RecordT: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[RecordT]: ...

    def __getitem__(self, place: int | slice) -> RecordT | Sequence[RecordT]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        row = self._cached.get(place)
        if row is None:
            row = self._parsed(self._read(place, place + 1))
            if len(self._cached) >= CACHED_ROWS:
                self._cached = {}
            self._cached[place] = row
        return row

    def __iter__(self) -> Iterator[RecordT]:
        """All rows in order; a row that is not cached does not get into the cache."""
        for start in range(0, len(self), ROWS_PER_READ):
            end = min(start + ROWS_PER_READ, len(self))
            block, base = self._read(start, end), self._offsets[start]
            for place in range(start, end):
                low, high = self._offsets[place] - base, self._offsets[place + 1] - base
                yield self._cached.get(place) or self._parsed(block[low:high])

    def _read(self, start: int, end: int) -> bytes:
        """The lines of some rows. The file has no position that threads could share."""
        low, high = self._offsets[start], self._offsets[end]
        with clear_errors(temporary_directory(), "TMPDIR"):
            return os.pread(self._file.fileno(), high - low, low)

    def _parsed(self, line: bytes) -> RecordT:
        return self._record.model_validate_json(line)
