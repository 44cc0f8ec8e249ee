"""The completion log: every answer of a teacher, kept even if the process is killed at any moment.

Each partition, role, teacher and prompt version has its own log. In a directory the log is one
append-only JSONL file. Each line goes to the operating system at once, so it survives a killed
process; lines go to disk in batches, which then survive a power cut. Opening the log cuts off an
incomplete last line. In a bucket, on a shared volume without locks, and where several processes
fill a partition, the log is a folder of segments (see segments.py).

Each line ends with its own checksum (see seal.py). A line that the disk has damaged is not used:
it is counted, a warning names it, and its request is sent again. No other line is lost with it.
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
from sdg_assets.teacher.log.answers import Answers
from sdg_assets.teacher.log.offsets import Offsets
from sdg_assets.teacher.log.seal import recovered, sealed, unsealed
from sdg_assets.teacher.log.segments import Segments
from sdg_assets.teacher.requests import Completion

SYNC_SECONDS = 2.0
SYNC_LINES = 64
DAMAGED_SHOWN = 5
# Errors of file systems without flock: NFS without a lock service, many FUSE mounts.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
logger = logging.getLogger(__name__)


class CompletionLog:
    """Finished completions by request id. Use as a context manager.

    Of several completions of one request, the last counts: see `Completion.replaces`.
    """

    def __init__(self, path: Place, *, is_shared: bool = False) -> None:
        """Opens the log, or creates it.

        Args:
            path: The log's file; its name states role, teacher and prompt version. Segments are in
                the folder with the same name and the suffix `.segments`.
            is_shared: Whether other processes add to the log at the same time. Each then writes
                segments of its own, also where files can be locked.

        Raises:
            StoreError: The disk is full or read-only, or another version of this package wrote an
                undamaged line.
            TransientError: Another process is writing this log's file.
        """
        self.path = path
        self.damaged: list[str] = []
        """`file:line` of each damaged line; their requests count as unanswered."""
        self._offsets = Offsets()
        self._segments = Segments(path.with_suffix(".segments"))
        file = _locked(path) if isinstance(path, Path) and not is_shared else None
        self._appends = file is not None
        # Completions are always read from a local file, also if the log is in a bucket.
        with clear_errors(temporary_directory(), "TMPDIR"):
            self._file: BinaryIO = file or tempfile.TemporaryFile()  # noqa: SIM115
        try:
            if self._appends:
                self._index()
            else:
                self._import_file()
            self._import_segments()
            self._warn_of_damage()
        except BaseException:
            self._file.close()  # also releases the lock
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
            with self._clear_errors():  # closing writes the rest of the buffer
                self._file.close()

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._offsets

    def __len__(self) -> int:
        return len(self._offsets)

    def get(self, request_id: str) -> Completion:
        """The finished completion of a request.

        Raises:
            KeyError: The request has no finished completion.
            TransientError: The line was damaged after the log was opened.
        """
        completion = self._at(self._offsets[request_id])
        if completion.request_id != request_id:
            raise KeyError(request_id)
        return completion

    def answers(self) -> Answers:
        """The completions so far, for other processes too.

        Raises:
            SdgError: What was appended could not be written.
        """
        with self._clear_errors():
            self._file.flush()
            if self._appends:
                # A copy of the locked descriptor would keep the lock after this log is closed.
                descriptor = os.open(str(self.path), os.O_RDONLY)
            else:
                descriptor = os.dup(self._file.fileno())
        return Answers(str(self.path), os.fdopen(descriptor, "rb"), self._offsets)

    def append(self, completion: Completion) -> None:
        """Adds a completion to the log.

        In a file the completion survives a kill at once, and a power cut after `SYNC_SECONDS` or
        `SYNC_LINES`. In segments it survives a power cut after `SEGMENT_SECONDS` or
        `SEGMENT_LINES`; a kill at once in a directory, and after the same time in a bucket.

        Raises:
            SdgError: The completion, or an earlier segment, could not be written.
        """
        if earlier := self._earlier(completion.request_id):
            completion = completion.model_copy(update={"attempt": earlier.attempt + 1})
        line = self._put(completion)
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
        """Waits until all appended completions are on disk or in the bucket.

        Raises:
            SdgError: They could not be written.
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
        return map(self._at, self._offsets)

    def _at(self, offset: int) -> Completion:
        self._file.seek(offset)
        completion = unsealed(self._file.readline(), self.path)
        if completion is None:
            raise TransientError(
                f"{self.path}: a line was damaged after the log was opened; run again"
            )
        return completion

    def _earlier(self, request_id: str) -> Completion | None:
        """The completion that the log has of a request so far. Keeps the place in the file."""
        if request_id not in self._offsets:
            return None
        place = self._file.tell()
        with self._clear_errors():  # moving writes the rest of the buffer
            completion = self._at(self._offsets[request_id])
            self._file.seek(place)
        return completion if completion.request_id == request_id else None

    def _counts(self, completion: Completion) -> bool:
        """Whether a completion is the first one of its request, or replaces the earlier one."""
        earlier = self._earlier(completion.request_id)
        return earlier is None or completion.replaces(earlier)

    def _put(self, completion: Completion) -> bytes:
        """Writes a completion's line into the file, and returns it."""
        line, counts = sealed(completion), self._counts(completion)
        with self._clear_errors():
            self._file.seek(0, os.SEEK_END)
            offset = self._file.tell()
            self._file.write(line)
        if counts:
            self._offsets[completion.request_id] = offset
        return line

    def _index(self) -> None:
        self._file.seek(0)
        offset, rescued = 0, list[Completion]()
        for number, line in enumerate(iter(self._file.readline, b""), start=1):
            if not line.endswith(b"\n"):  # a kill cut it short
                with self._clear_errors():
                    self._file.truncate(offset)
                break
            if completion := unsealed(line, f"{self.path}:{number}"):
                if self._counts(completion):
                    self._offsets[completion.request_id] = offset
            else:
                rescued += self._damaged_line(line, f"{self.path}:{number}")
            offset += len(line)
        for completion in rescued:
            if self._counts(completion):  # else an earlier run rescued it
                self._put(completion)

    def _import_file(self) -> None:
        """Reads the file of a log that was one file before.

        Its store was copied into a bucket, or its file system had locks then.
        """
        try:
            with clear_errors(str(self.path)):
                file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):  # else a kill cut it short
                    self._import_line(line, f"{self.path}:{number}")

    def _import_segments(self) -> None:
        for segment, number, line in self._segments.lines():
            self._import_line(line, f"{segment}:{number}")

    def _import_line(self, line: bytes, location: str) -> None:
        whole = unsealed(line, location)
        for completion in [whole] if whole else self._damaged_line(line, location):
            if self._counts(completion):
                self._put(completion)

    def _damaged_line(self, line: bytes, location: str) -> list[Completion]:
        """Counts a damaged line.

        Returns:
            The whole completions in it. A damaged newline joins two lines, so it can hold some.
        """
        if location not in self.damaged:  # a concurrent merge makes us read segments twice
            self.damaged.append(location)
        return recovered(line, location)

    def _warn_of_damage(self) -> None:
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
    """A message about a log's damaged lines; empty if no line is damaged."""
    if not log.damaged:
        return ""
    locations = ", ".join(log.damaged[:DAMAGED_SHOWN])
    more = f" and {len(log.damaged) - DAMAGED_SHOWN} more" * (len(log.damaged) > DAMAGED_SHOWN)
    return (
        f"{log.path}: damaged lines: {len(log.damaged)} ({locations}{more}). They are not used, "
        "and the teacher is asked again. Check the disk; you may delete the lines"
    )


def _locked(path: Path) -> BinaryIO | None:
    """The log's file, locked for this process; None if the file system has no locks."""
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
            "%s: cannot be locked (%s); the teacher's answers are kept in segments beside it",
            path,
            error.strerror,
        )
        return None
    return file
