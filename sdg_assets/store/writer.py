"""Who collects the rows of a partition's next version."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

from sdg_assets.records import Record, Rejection
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.places import Draft, Place
from sdg_assets.store.rows import line_of

# In the name of each file of an attempt that was not published.
ASIDE = "unpublished"
TOUCH_SECONDS = 3600.0


@dataclass
class PartitionWriter:
    """Collects a partition's rows; nothing is visible until the `with` block ends well."""

    path: Place
    """Where the accepted rows will lie."""
    replaces: Manifest | None
    """What is published now; None if nothing is, or if its manifest cannot be read."""
    _accepted: Draft
    _rejected: Draft
    rows: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)
    """Name → content of files published with the rows: signatures, hashes."""
    _digest: Any = field(default_factory=hashlib.sha256)
    _rejected_digest: Any = field(default_factory=hashlib.sha256)
    _touched_at: float = field(default_factory=time.monotonic)

    def accept(self, row: Record) -> None:
        """Adds a row that passed."""
        line = line_of(row)
        self._accepted.write(line)
        self._digest.update(line)
        self.rows += 1

    def reject(self, rejection: Rejection) -> None:
        """Keeps a row that did not, with its gate and reason."""
        line = line_of(rejection)
        self._rejected.write(line)
        self._rejected_digest.update(line)
        reason = f"{rejection.gate}: {rejection.reason}"
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def put(self, row: Record | Rejection) -> None:
        """Accepts a record, rejects a `Rejection`."""
        if (now := time.monotonic()) - self._touched_at > TOUCH_SECONDS:
            # So that a file to which nothing is written for a day does not look abandoned.
            self._touched_at = now
            self._accepted.touch()
            self._rejected.touch()
        if isinstance(row, Rejection):
            self.reject(row)
        else:
            self.accept(row)

    def keep_aside(self) -> Place:
        """Keeps the rows of an attempt that is not going to be published.

        They are cleared by age. Nothing may be written after this.

        Returns:
            The file of the refused rows. The accepted ones lie beside it.
        """
        version = self.path.name.partition(".")[0]
        refused = self.path.parent / f"{version}.{ASIDE}.rejected.jsonl"
        self._accepted.publish(self.path.parent / f"{version}.{ASIDE}.jsonl")
        self._rejected.publish(refused)
        return refused

    @property
    def sha256(self) -> str:
        """Hash of the accepted rows so far: what this partition's content is."""
        return str(self._digest.hexdigest())

    @property
    def rejected_sha256(self) -> str:
        """Hash of the refused rows so far."""
        return str(self._rejected_digest.hexdigest())
