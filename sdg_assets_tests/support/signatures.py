"""Signature files, in memory and on disk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from sdg_assets.signatures.table import Signatures


def parquet_of(signatures: Signatures, partition: str) -> bytes:
    """The content of a partition's signature file."""
    file = io.BytesIO()
    signatures.write_parquet(partition, file)
    return file.getvalue()


def opened(path: Path) -> IO[bytes]:
    """A signature file, to be read."""
    return path.open("rb")
