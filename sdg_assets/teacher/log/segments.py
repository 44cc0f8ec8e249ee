"""A completion log in segments: for storage that cannot append to a file, or cannot lock one.

Each flush writes a new immutable file `<log name>.segments/<writer>-<number>.jsonl`, so writers
never touch each other's files. A thread flushes after every `SEGMENT_LINES` completions, and after
`SEGMENT_SECONDS` at the latest. The teacher therefore does not wait for uploads. Closing the log,
also after a failure, flushes the rest.

A kill of a process that writes to a bucket loses at most the completions since the last flush: up
to `MOST_UNSENT` if the storage is slow. In a directory it loses none: until they are in a segment,
they are in a journal, `<writer>-<number>.open.jsonl`, whose lines go to the operating system one by
one. A power cut may lose the journal.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path

from sdg_assets.errors import SdgError, TransientError
from sdg_assets.store.places import Place, draft, listing, sync_folder, write_atomic

SEGMENT_LINES = 32
SEGMENT_SECONDS = 5.0
MOST_UNSENT = 64
# Opening a log with more small segments than this merges them into one.
MOST_SMALL = 64
SMALL_BYTES = 8 << 20  # a few thousand completions
READERS = 16
PATIENCE = 5
JOURNAL = ".open.jsonl"
DEAD_JOURNAL = timedelta(minutes=10)
"""A journal that nobody wrote for so long is merged: its process was killed."""


class Segments:
    """The segments of one log. Reading needs no lock: a segment is complete or does not exist."""

    def __init__(self, folder: Place) -> None:
        self.folder = folder
        self._writer = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        self._number = 0
        self._unsent: list[bytes] = []
        self._under_way = 0
        self._hurry = self._closing = False
        self._failure: Exception | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._journal: FileIO | None = None
        self._journals = 0

    def lines(self) -> Iterator[tuple[Place, int, bytes]]:
        """Segment, line number and line (with its newline) of every line, oldest segment first.

        Small segments come before large ones. If another run merges segments in the meantime, the
        folder is listed again, and lines may come twice.

        Raises:
            TransientError: The segments change faster than they can be read.
        """
        for _ in range(PATIENCE):
            try:
                yield from self._lines_once()
            except FileNotFoundError:
                continue
            return
        raise TransientError(f"{self.folder}: other runs keep merging this completion log")

    def append(self, line: bytes) -> None:
        """Queues a line for the next flush; waits only if `MOST_UNSENT` lines are queued.

        Raises:
            SdgError: An earlier flush has failed. The line is queued all the same, and `close`
                tries once more: answers that were under way are paid for.
        """
        with self._changed:
            if not self._thread:
                self._thread = threading.Thread(target=self._keep_flushing, daemon=True)
                self._thread.start()
            self._changed.wait_for(
                lambda: len(self._unsent) + self._under_way < MOST_UNSENT or self._failure
            )
            self._unsent.append(line)
            self._note(line)
            self._changed.notify_all()
            if self._failure:
                raise self._failure

    def sync(self) -> None:
        """Waits until all appended lines are in the store.

        Raises:
            SdgError: They could not be written.
        """
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._wait_until(lambda: not self._unsent and not self._under_way)
            self._hurry = False

    def close(self) -> None:
        """Flushes the remaining lines, even if an earlier flush has failed.

        Raises:
            SdgError: They could not be written.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join()
        if self._unsent:
            self._send(self._unsent)
            self._unsent = []

    def _lines_once(self) -> Iterator[tuple[Place, int, bytes]]:
        files = sorted(listing(self.folder), key=lambda file: file.name)
        since = datetime.now(UTC) - DEAD_JOURNAL
        living = [f for f in files if f.name.endswith(JOURNAL) and f.modified > since]
        for journal in (self.folder / file.name for file in living):
            # Gone: its process goes on, and has just written its lines into a segment.
            with suppress(FileNotFoundError):
                yield from _numbered(journal, _read(journal))
        files = [file for file in files if file not in living]
        small = [self.folder / file.name for file in files if file.size < SMALL_BYTES]
        large = [self.folder / file.name for file in files if file.size >= SMALL_BYTES]
        if len(small) > MOST_SMALL:
            small = [self._merge(small)]
        with ThreadPoolExecutor(READERS) as pool:
            for start in range(0, len(small), READERS):
                batch = small[start : start + READERS]
                for segment, data in zip(batch, pool.map(_read, batch), strict=True):
                    yield from _numbered(segment, data)
        for segment in large:
            with segment.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    yield segment, number, line

    def _note(self, line: bytes) -> None:
        """Adds a line to the journal, in a directory."""
        if not isinstance(self.folder, Path):
            return
        # A full disk is told by the flush, which writes the same line.
        with suppress(OSError):
            if not self._journal:
                self._journals += 1
                self.folder.mkdir(parents=True, exist_ok=True)
                name = f"{self._writer}-{self._journals:06}{JOURNAL}"
                self._journal = (self.folder / name).open("ab", buffering=0)
            self._journal.write(line)

    def _merge(self, small: list[Place]) -> Place:
        """Writes one segment with the lines of many, then deletes those; a kill keeps both."""
        merged = self._next()
        with draft(merged) as out, ThreadPoolExecutor(READERS) as pool:
            for start in range(0, len(small), READERS):
                for data in pool.map(_read, small[start : start + READERS]):
                    out.write(data)
            out.publish()
            sync_folder(self.folder)  # before the segments that it replaces are deleted
            for _ in pool.map(lambda segment: segment.unlink(missing_ok=True), small):
                pass
        return merged

    def _keep_flushing(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unsent or self._closing)
                self._changed.wait_for(
                    lambda: len(self._unsent) >= SEGMENT_LINES or self._hurry or self._closing,
                    timeout=SEGMENT_SECONDS,
                )
                batch, self._unsent = self._unsent, []
                journal, self._journal = self._journal, None
                self._under_way = len(batch)
            if not batch:
                return
            failure: Exception | None = None
            try:
                self._send(batch)
                _discard(journal)
            except (SdgError, OSError) as error:
                failure = error
            with self._changed:
                self._under_way = 0
                if failure:
                    self._unsent = [*batch, *self._unsent]
                    self._failure = failure
                self._changed.notify_all()
            if failure:
                return

    def _send(self, batch: list[bytes]) -> None:
        write_atomic(self._next(), b"".join(batch))

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: ready() or self._failure)
        if self._failure:
            raise self._failure

    def _next(self) -> Place:
        self._number += 1
        return self.folder / f"{self._writer}-{self._number:06}.jsonl"


def _read(place: Place) -> bytes:
    """A segment, or a journal without the line that a kill cut short."""
    data = place.read_bytes()
    return data[: data.rfind(b"\n") + 1] if place.name.endswith(JOURNAL) else data


def _numbered(place: Place, data: bytes) -> Iterator[tuple[Place, int, bytes]]:
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        yield place, number, line


def _discard(journal: FileIO | None) -> None:
    """Deletes a journal whose lines are in a segment."""
    if journal:
        journal.close()
        Path(journal.name).unlink(missing_ok=True)
