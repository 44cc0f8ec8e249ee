"""The manifest of a partition: the file whose replacement publishes a new version."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

LAYOUT = 1
"""Number of the store's layout: raised when an older version could not read what is written."""


class Manifest(BaseModel):
    """Describes the published version of a partition. Every reader checks the files against it."""

    layout: int = LAYOUT
    """Layout that the partition was written in."""
    rows: int
    """Number of accepted rows."""
    sha256: str
    """SHA-256 of the file of accepted rows, in hex."""
    rejected: dict[str, int]
    """`<gate>: <reason>` → number of rejected rows."""
    rejected_sha256: str
    """SHA-256 of the file of rejected rows, in hex."""
    written_at: datetime
    attached: dict[str, str] = {}
    """Name of each attached file → its SHA-256 in hex."""
    info: dict[str, Any] = {}
    version: str
    """Version that the names of the partition's files begin with."""
    replaced: dict[str, datetime] = {}
    """Earlier versions that a reader may still have open → when each was replaced."""
