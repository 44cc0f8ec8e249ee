"""The completions of a log, for several processes that read them at the same time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO

from sdg_assets.errors import TransientError
from sdg_assets.store.disk import clear_error
from sdg_assets.teacher.log.seal import unsealed
from sdg_assets.teacher.requests import Completion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Answers:
    """Finished completions by request id, read by offset from the log's file.

    The index takes about 40 bytes a completion, and can be sent to another process.
    """

    def __init__(self, name: str, file: BinaryIO, offsets: Mapping[str, int]) -> None:
        """Indexes the lines; what is added to the file later is not seen.

        Args:
            name: The log, for messages.
            file: The file with the lines; all that was written to it is flushed.
            offsets: Request id → where its line begins.
        """
        import numpy as np

        self.name = name
        self._file = file
        ids = np.array([request_id.encode() for request_id in offsets], dtype=np.bytes_)
        starts = np.fromiter(offsets.values(), np.int64, len(offsets))
        in_file = np.sort(starts)
        ends = np.append(in_file[1:], os.fstat(file.fileno()).st_size)
        order = np.argsort(ids, kind="stable")
        self._ids: NDArray[np.bytes_] = ids[order]
        self._starts: NDArray[np.int64] = starts[order]
        self._ends: NDArray[np.int64] = ends[np.searchsorted(in_file, self._starts)]

    def get(self, request_id: str) -> Completion:
        """The finished completion of a request.

        Raises:
            KeyError: The request had no finished completion.
            TransientError: The line was damaged after the log was opened.
        """
        key = request_id.encode()
        place = int(self._ids.searchsorted(key))
        if place == len(self._ids) or self._ids[place] != key:
            raise KeyError(request_id)
        start, end = int(self._starts[place]), int(self._ends[place])
        try:
            block = os.pread(self._file.fileno(), end - start, start)
        except OSError as error:
            raise clear_error(error, self.name) from error
        # A damaged line, which has no offset, may follow.
        line = block[: block.find(b"\n") + 1]
        completion = unsealed(line, self.name)
        if completion is None:
            raise TransientError(
                f"{self.name}: a line was damaged after the log was opened; run again"
            )
        return completion
