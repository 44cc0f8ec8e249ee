"""What is published of a partition: the one file that makes a version visible."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class Manifest(BaseModel):
    """What was published for a partition. A claim that every load checks."""

    rows: int
    sha256: str
    rejected: dict[str, int]
    rejected_sha256: str
    written_at: datetime
    attached: dict[str, str] = {}
    """Name of each file that belongs to the partition → its sha256."""
    info: dict[str, Any] = {}
    version: str
    """Which files of the partition are meant."""
    replaced: dict[str, datetime] = {}
    """Earlier versions that may still be read → when each was replaced."""
