"""The writer that collects the rows of a partition's next version."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any, cast

from sdg_assets.records import Record, Rejection
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.places import Draft, Place, draft
from sdg_assets.store.rows import line_of

# Part of the name of each file of an unpublished attempt.
ASIDE = "unpublished"
TOUCH_SECONDS = 3600.0
Attachment = bytes | Callable[[IO[bytes]], object]
"""The content of a file that is published with the rows; of a large one, what writes it."""


@dataclass
class PartitionWriter:
    """Collects a partition's rows. Readers see them only after the `with` block ends normally."""

    path: Place
    """File that will hold the accepted rows."""
    replaces: Manifest | None
    """Manifest of the version published now; None if there is none, or it is corrupt."""
    _accepted: Draft
    _rejected: Draft
    rows: int = 0
    """Number of accepted rows so far."""
    rejected: dict[str, int] = field(default_factory=dict)
    """`<gate>: <reason>` → number of rejected rows so far."""
    info: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, Attachment] = field(default_factory=dict)
    """Name → the files published with the rows: signatures, hashes."""
    _digest: Any = field(default_factory=hashlib.sha256)
    _rejected_digest: Any = field(default_factory=hashlib.sha256)
    _touched_at: float = field(default_factory=time.monotonic)

    def accept(self, row: Record) -> None:
        """Adds an accepted row."""
        line = line_of(row)
        self._accepted.write(line)
        self._digest.update(line)
        self.rows += 1

    def reject(self, rejection: Rejection) -> None:
        """Adds a rejected row with its gate and reason."""
        line = line_of(rejection)
        self._rejected.write(line)
        self._rejected_digest.update(line)
        reason = f"{rejection.gate}: {rejection.reason}"
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def put(self, row: Record | Rejection) -> None:
        """Accepts a record, or rejects a `Rejection`."""
        if (now := time.monotonic()) - self._touched_at > TOUCH_SECONDS:
            # A file that is not written to for a day would be deleted as abandoned.
            self._touched_at = now
            self._accepted.touch()
            self._rejected.touch()
        if isinstance(row, Rejection):
            self.reject(row)
        else:
            self.accept(row)

    def keep_aside(self) -> Place:
        """Stores the rows of an attempt that will not be published, for a person to look at.

        They are deleted by age (`KEPT_ASIDE`). Nothing may be written after this call.

        Returns:
            The file of the rejected rows. The file of the accepted rows is in the same folder.
        """
        version = self.path.name.partition(".")[0]
        rejected = self.path.parent / f"{version}.{ASIDE}.rejected.jsonl"
        self._accepted.publish(self.path.parent / f"{version}.{ASIDE}.jsonl")
        self._rejected.publish(rejected)
        return rejected

    @property
    def sha256(self) -> str:
        """SHA-256 of the accepted rows so far, in hex; it identifies the partition's content."""
        return str(self._digest.hexdigest())

    @property
    def rejected_sha256(self) -> str:
        """SHA-256 of the rejected rows so far, in hex."""
        return str(self._rejected_digest.hexdigest())


def write_attachment(place: Place, attachment: Attachment) -> str:
    """Creates the file of an attachment atomically.

    Returns:
        Its SHA-256 in hex.

    Raises:
        StoreError: The disk is full, or may not be written.
    """
    with draft(place) as out:
        file = _Hashed(out)
        if isinstance(attachment, bytes):
            file.write(attachment)
        else:
            attachment(cast(IO[bytes], file))
        out.publish()
    return file.digest.hexdigest()


class _Hashed(io.BufferedIOBase):
    """Writes to a draft, and hashes what is written: nobody has to read it again."""

    def __init__(self, out: Draft) -> None:
        self._out = out
        self._size = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:  # noqa: ANN401 – typeshed's ReadableBuffer
        self._out.write(data)
        self.digest.update(data)
        self._size += len(data)
        return len(data)
