"""A completion log in segments: for storage that cannot append to a file, or cannot lock one.

Each flush is a new immutable file `<log name>.segments/<writer>-<number>.jsonl`, so several writers
never touch each other's. Completions are handed to a thread that flushes every `SEGMENT_LINES` of
them, and what came before `SEGMENT_SECONDS` are over: the teacher never waits for an upload, and a
kill costs at most what came in since, `MOST_UNSENT` completions if the storage is slow. Whatever
ends the log in an orderly way, a failure included, flushes what is left.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from sdg_assets.errors import SdgError, TransientError
from sdg_assets.store.places import Place, draft, listing, sync_folder, write_atomic

SEGMENT_LINES = 32
SEGMENT_SECONDS = 5.0
MOST_UNSENT = 64
# On opening, more small segments than this are merged into one. 8 MiB: a few thousand completions.
MOST_SMALL = 64
SMALL_BYTES = 8 << 20
READERS = 16
PATIENCE = 5


class Segments:
    """The segments of one log. Reading needs no lock: a segment is whole or not there."""

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

    def lines(self) -> Iterator[tuple[Place, int, bytes]]:
        """Segment, line number and line of everything kept, the oldest first.

        Small segments come first. A segment that another run has merged away in the meantime is in
        the new one: the listing is read anew, and lines may come twice.

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
        """Keeps a line, soon; waits only if the storage is slower than the teacher.

        Raises:
            SdgError: An earlier flush has failed.
        """
        with self._changed:
            if not self._thread:
                self._thread = threading.Thread(target=self._send_on, daemon=True)
                self._thread.start()
            self._wait_until(lambda: len(self._unsent) + self._under_way < MOST_UNSENT)
            self._unsent.append(line)
            self._changed.notify_all()

    def sync(self) -> None:
        """Waits until everything appended is in the store.

        Raises:
            SdgError: It could not be put there.
        """
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._wait_until(lambda: not self._unsent and not self._under_way)
            self._hurry = False

    def close(self) -> None:
        """Flushes what is left, even if an earlier flush has failed.

        Raises:
            SdgError: It could not be put there.
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
        found = sorted(listing(self.folder), key=lambda listed: listed.name)
        small = [self.folder / f.name for f in found if f.size < SMALL_BYTES]
        large = [self.folder / f.name for f in found if f.size >= SMALL_BYTES]
        if len(small) > MOST_SMALL:
            small = [self._merge(small)]
        with ThreadPoolExecutor(READERS) as pool:
            for start in range(0, len(small), READERS):
                some = small[start : start + READERS]
                for segment, data in zip(some, pool.map(_read, some), strict=True):
                    for number, line in enumerate(data.splitlines(keepends=True), start=1):
                        yield segment, number, line
        for segment in large:
            with segment.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    yield segment, number, line

    def _merge(self, small: list[Place]) -> Place:
        """Makes one segment of many. They go once it is whole; a kill in between keeps both."""
        merged = self._next()
        with draft(merged) as out, ThreadPoolExecutor(READERS) as pool:
            for start in range(0, len(small), READERS):
                for data in pool.map(_read, small[start : start + READERS]):
                    out.write(data)
            out.publish()
            sync_folder(self.folder)  # before those that it replaces go
            for _ in pool.map(lambda segment: segment.unlink(missing_ok=True), small):
                pass
        return merged

    def _send_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._unsent or self._closing)
                self._changed.wait_for(
                    lambda: len(self._unsent) >= SEGMENT_LINES or self._hurry or self._closing,
                    timeout=SEGMENT_SECONDS,
                )
                batch, self._unsent = self._unsent, []
                self._under_way = len(batch)
            if not batch:
                return
            failure: Exception | None = None
            try:
                self._send(batch)
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
    return place.read_bytes()
