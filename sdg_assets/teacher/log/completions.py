"""The completion log: what a teacher has said, kept through any kill.

One log per partition, role, teacher and prompt version. In a directory it is one append-only JSONL
file: lines are handed to the operating system one by one, which a killed process survives, and to
disk in batches, which a power cut survives. A torn last line is cut off on opening. In a bucket,
and on a shared volume without locks, it is a folder of segments (see segments.py).

Each line ends with a checksum of itself (see seal.py). A line that a disk has damaged is not used:
it is counted, a warning names it, and its request is asked again. No other line is lost with it.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from sdg_assets.errors import StoreError, TransientError
from sdg_assets.store.disk import clear_errors, temporary_directory
from sdg_assets.store.places import Place
from sdg_assets.teacher.log.seal import recovered, sealed, unsealed
from sdg_assets.teacher.log.segments import Segments
from sdg_assets.teacher.requests import Completion

SYNC_SECONDS = 2.0
SYNC_LINES = 64
DAMAGED_SHOWN = 5
# What a file system says that has no flock: NFS without a lock service, many FUSE mounts.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
logger = logging.getLogger(__name__)


class CompletionLog:
    """Finished completions by request id. Use as a context manager."""

    def __init__(self, path: Place) -> None:
        """Opens the log, creating it if need be.

        Args:
            path: The log's file; its name says role, teacher and prompt version. Segments lie in
                the folder beside it that ends in `.segments`.

        Raises:
            StoreError: The disk is full or may not be written, or a line that is not damaged is of
                another version of this package.
            TransientError: Another process is writing this log's file.
        """
        self.path = path
        self.damaged: list[str] = []
        """File and number of each line that was damaged on disk; their requests are unanswered."""
        self._offsets: dict[str, int] = {}
        self._segments = Segments(path.with_suffix(".segments"))
        file = _locked(path) if isinstance(path, Path) else None
        self._appends = file is not None
        # Completions are read again from a file of this machine, wherever the log lies.
        with clear_errors(temporary_directory(), "TMPDIR"):
            self._file: BinaryIO = file or tempfile.TemporaryFile()  # noqa: SIM115
        try:
            if self._appends:
                self._index()
            else:
                self._take_in_file()
            self._take_in_segments()
            self._tell_damage()
        except BaseException:
            self._file.close()  # and let go of the lock
            raise
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def __enter__(self) -> CompletionLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._appends:
                self.sync()
            else:
                self._segments.close()
        finally:
            with self._clear_errors():  # what is left in the buffer is written on closing
                self._file.close()

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._offsets

    def __len__(self) -> int:
        return len(self._offsets)

    def get(self, request_id: str) -> Completion:
        """The finished completion of a request.

        Raises:
            KeyError: It is not finished.
            TransientError: Its line was damaged since the log was opened.
        """
        self._file.seek(self._offsets[request_id])
        completion = unsealed(self._file.readline(), self.path)
        if completion is None:
            raise TransientError(f"{self.path}: a line was damaged since it was read; run again")
        return completion

    def append(self, completion: Completion) -> None:
        """Keeps a completion.

        In a file it survives the process at once, and the machine after `SYNC_SECONDS` or
        `SYNC_LINES`; in segments it survives both after `SEGMENT_SECONDS` or `SEGMENT_LINES`.

        Raises:
            SdgError: It, or an earlier segment, could not be put in the store.
        """
        line = sealed(completion)
        self._put(completion.request_id, line)
        if not self._appends:
            self._segments.append(line)
            return
        with self._clear_errors():
            self._file.flush()
        self._unsynced += 1
        overdue = time.monotonic() - self._synced_at > SYNC_SECONDS
        if overdue or self._unsynced >= SYNC_LINES:
            self.sync()

    def sync(self) -> None:
        """Waits until everything appended is on disk, or in the bucket.

        Raises:
            SdgError: It could not be put there.
        """
        if not self._appends:
            self._segments.sync()
            return
        with self._clear_errors():
            self._file.flush()
            os.fsync(self._file.fileno())
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def __iter__(self) -> Iterator[Completion]:
        for request_id in list(self._offsets):
            yield self.get(request_id)

    def _put(self, request_id: str, line: bytes) -> None:
        with self._clear_errors():
            self._file.seek(0, os.SEEK_END)
            offset = self._file.tell()
            self._file.write(line)
        self._offsets[request_id] = offset

    def _index(self) -> None:
        self._file.seek(0)
        offset, saved = 0, list[Completion]()
        for number, line in enumerate(iter(self._file.readline, b""), start=1):
            if not line.endswith(b"\n"):  # torn by a kill
                with self._clear_errors():
                    self._file.truncate(offset)
                break
            if completion := unsealed(line, f"{self.path}:{number}"):
                self._offsets[completion.request_id] = offset
            else:
                saved += self._damaged_line(line, f"{self.path}:{number}")
            offset += len(line)
        for completion in saved:
            if completion.request_id not in self._offsets:  # saved by an earlier run
                self._put(completion.request_id, sealed(completion))

    def _take_in_file(self) -> None:
        """What a log holds that was one file when its store was copied here, or was locked."""
        try:
            with clear_errors(str(self.path)):
                file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):  # else torn by a kill
                    self._take_in(line, f"{self.path}:{number}")

    def _take_in_segments(self) -> None:
        for segment, number, line in self._segments.lines():
            self._take_in(line, f"{segment}:{number}")

    def _take_in(self, line: bytes, where: str) -> None:
        completion = unsealed(line, where)
        for found in [completion] if completion else self._damaged_line(line, where):
            if found.request_id not in self._offsets:
                self._put(found.request_id, sealed(found))

    def _damaged_line(self, line: bytes, where: str) -> list[Completion]:
        """Counts a damaged line.

        Returns:
            Whole completions in it: there are some where the damage is to the end of a line.
        """
        if where not in self.damaged:  # segments that are merged meanwhile are read again
            self.damaged.append(where)
        return recovered(line, where)

    def _tell_damage(self) -> None:
        if self.damaged:
            logger.warning("%s", damage_of(self))

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        if self._appends:
            with clear_errors(str(self.path)):
                yield
        else:
            with clear_errors(temporary_directory(), "TMPDIR"):
                yield


def damage_of(log: CompletionLog) -> str:
    """A sentence on a log's damaged lines; empty if there are none."""
    if not log.damaged:
        return ""
    shown = ", ".join(log.damaged[:DAMAGED_SHOWN])
    more = f" and {len(log.damaged) - DAMAGED_SHOWN} more" * (len(log.damaged) > DAMAGED_SHOWN)
    return (
        f"{log.path}: damaged lines: {len(log.damaged)} ({shown}{more}). They are not used, and "
        "the teacher is asked again. Look at the disk; the lines may be deleted"
    )


def _locked(path: Path) -> BinaryIO | None:
    """The log's file, for this process alone; None where the file system knows no locks."""
    with clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise TransientError(f"{path}: another run is writing this completion log") from error
    except OSError as error:
        file.close()
        if error.errno not in NO_LOCKS:
            raise StoreError(f"{path}: cannot be locked ({error.strerror})") from error
        logger.warning(
            "%s: cannot be locked (%s); what the teacher says is kept in segments beside it",
            path,
            error.strerror,
        )
        return None
    return file
