"""Jobs for a pool, in a module that other processes can import."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sdg_assets.errors import PermanentError


def squares(batch: list[int]) -> tuple[int, list[int]]:
    """The process that did it, and the squares; slow enough for others to take part."""
    time.sleep(0.02)
    return os.getpid(), [number * number for number in batch]


def echo(batch: list[bytes]) -> list[bytes]:
    """The batch itself."""
    return batch


def without_sevens(batch: list[int]) -> list[int]:
    """The batch; a seven cannot be done."""
    if 7 in batch:
        raise PermanentError("row 7 cannot be made")
    return batch


@dataclass(frozen=True)
class KilledElsewhere:
    """Kills every process but the first, as a kernel without memory does."""

    first: int

    def __call__(self, batch: list[int]) -> list[int]:
        """The batch, in the first process."""
        if os.getpid() != self.first:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return batch


@dataclass(frozen=True)
class Reading:
    """Reads from an open file."""

    file: BinaryIO

    def __call__(self, offset: int) -> tuple[int, bytes]:
        """The process, and four bytes at the offset."""
        time.sleep(0.02)
        return os.getpid(), os.pread(self.file.fileno(), 4, offset)


@dataclass(frozen=True)
class Endless:
    """Says which process began, and never ends in another one."""

    folder: Path
    first: int

    def __call__(self, number: int) -> int:
        """The number, in the first process."""
        if os.getpid() != self.first:
            (self.folder / str(os.getpid())).touch()
            time.sleep(600)
        return number
