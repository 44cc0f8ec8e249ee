"""The completion log: what a teacher has said, kept through any kill.

One log per partition, role, teacher and prompt version. In a directory it is one append-only JSONL
file: lines are handed to the operating system one by one, which a killed process survives, and to
disk in batches, which a power cut survives. A torn last line is cut off on opening. In a bucket,
and on a shared volume without locks, it is a folder of segments (see segments.py).
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from pydantic import ValidationError

from sdg_assets.errors import StoreError, TransientError
from sdg_assets.places import Place
from sdg_assets.teacher.requests import Completion
from sdg_assets.teacher.segments import Segments

SYNC_SECONDS = 2.0
SYNC_LINES = 64
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
            StoreError: A line that is not the last one is corrupt.
            TransientError: Another process is writing this log's file.
        """
        self.path = path
        self._offsets: dict[str, int] = {}
        self._segments = Segments(path.with_suffix(".segments"))
        file = _locked(path) if isinstance(path, Path) else None
        self._appends = file is not None
        # Completions are read again from a file of this machine, wherever the log lies.
        self._file: BinaryIO = file or tempfile.TemporaryFile(prefix="sdg-")  # noqa: SIM115
        try:
            if self._appends:
                self._index()
            else:
                self._take_in_file()
            self._take_in_segments()
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
            self._file.close()

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._offsets

    def __len__(self) -> int:
        return len(self._offsets)

    def get(self, request_id: str) -> Completion:
        """The finished completion of a request.

        Raises:
            KeyError: It is not finished.
        """
        self._file.seek(self._offsets[request_id])
        return Completion.model_validate_json(self._file.readline())

    def append(self, completion: Completion) -> None:
        """Keeps a completion.

        In a file it survives the process at once, and the machine after `SYNC_SECONDS` or
        `SYNC_LINES`; in segments it survives both after `SEGMENT_SECONDS` or `SEGMENT_LINES`.

        Raises:
            SdgError: An earlier segment could not be put in the store.
        """
        line = completion.model_dump_json().encode() + b"\n"
        self._put(completion.request_id, line)
        if not self._appends:
            self._segments.append(line)
            return
        self._file.flush()
        self._unsynced += 1
        overdue = time.monotonic() - self._synced_at > SYNC_SECONDS
        if overdue or self._unsynced >= SYNC_LINES:
            self.sync()

    def sync(self) -> None:
        """Waits until everything appended is on disk, or in the bucket.

        Raises:
            SdgError: It could not be put in the bucket.
        """
        if not self._appends:
            self._segments.sync()
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def __iter__(self) -> Iterator[Completion]:
        for request_id in list(self._offsets):
            yield self.get(request_id)

    def _put(self, request_id: str, line: bytes) -> None:
        self._file.seek(0, os.SEEK_END)
        self._offsets[request_id] = self._file.tell()
        self._file.write(line)

    def _index(self) -> None:
        self._file.seek(0)
        offset = 0
        for number, line in enumerate(iter(self._file.readline, b""), start=1):
            completion = _parse(line, self.path, number)
            if not completion:
                self._file.truncate(offset)
                break
            self._offsets[completion.request_id] = offset
            offset += len(line)

    def _take_in_file(self) -> None:
        """What a log holds that was one file when its store was copied here, or was locked."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for number, line in enumerate(file, start=1):
                completion = _parse(line, self.path, number)
                if completion:
                    self._put(completion.request_id, line)

    def _take_in_segments(self) -> None:
        for segment, number, line in self._segments.lines():
            completion = _parse(line, segment, number)
            if completion and completion.request_id not in self._offsets:
                self._put(completion.request_id, line)


def _locked(path: Path) -> BinaryIO | None:
    """The log's file, for this process alone; None where the file system knows no locks."""
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


def _parse(line: bytes, place: Place, number: int) -> Completion | None:
    """The line's completion; None if the line is torn, which only a last one can be."""
    try:
        completion = Completion.model_validate_json(line)
    except ValidationError as error:
        if not line.endswith(b"\n"):
            return None
        raise StoreError(
            f"{place}:{number}: not a completion; move the file away to ask the teacher afresh, or "
            "delete that line"
        ) from error
    # Whole, but for its newline: unfinished too.
    return completion if line.endswith(b"\n") else None
