"""The completion log: what a teacher has said, kept through any kill.

One append-only JSONL file per partition, role, teacher and prompt version. Lines are handed to
the operating system one by one, which a killed process survives, and to disk in batches, which a
power cut survives. A torn last line is cut off on opening.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from sdg_assets.errors import StoreError, TransientError
from sdg_assets.teacher.requests import Completion

SYNC_SECONDS = 2.0
SYNC_LINES = 64


class CompletionLog:
    """Finished completions by request id. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Opens the log, creating it if need be.

        Args:
            path: The log's file; its name says role, teacher and prompt version.

        Raises:
            StoreError: A line that is not the last one is corrupt, or the file cannot be locked.
            TransientError: Another process is writing this log.
        """
        self.path = path
        self._offsets: dict[str, int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._index()
        except BlockingIOError as error:
            self._file.close()
            raise TransientError(f"{path}: another run is writing this completion log") from error
        except OSError as error:
            self._file.close()
            raise StoreError(
                f"{path}: cannot be locked ({error.strerror}); put the store on a file system "
                "that knows flock"
            ) from error
        except StoreError:
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
        self.sync()
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

        It survives the process at once, and the machine after `SYNC_SECONDS` or `SYNC_LINES`.
        """
        self._file.seek(0, os.SEEK_END)
        self._offsets[completion.request_id] = self._file.tell()
        self._file.write(completion.model_dump_json().encode() + b"\n")
        self._file.flush()
        self._unsynced += 1
        overdue = time.monotonic() - self._synced_at > SYNC_SECONDS
        if overdue or self._unsynced >= SYNC_LINES:
            self.sync()

    def sync(self) -> None:
        """Waits until everything appended is on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def __iter__(self) -> Iterator[Completion]:
        for request_id in list(self._offsets):
            yield self.get(request_id)

    def _index(self) -> None:
        self._file.seek(0)
        offset = 0
        for number, line in enumerate(iter(self._file.readline, b""), start=1):
            try:
                completion = Completion.model_validate_json(line)
            except ValidationError as error:
                if line.endswith(b"\n"):
                    raise StoreError(
                        f"{self.path}:{number}: not a completion; move the file away to ask the "
                        "teacher afresh, or delete that line"
                    ) from error
                self._file.truncate(offset)
                break
            if not line.endswith(b"\n"):  # whole, but for its newline: count it as unfinished
                self._file.truncate(offset)
                break
            self._offsets[completion.request_id] = offset
            offset += len(line)
