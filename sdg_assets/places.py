"""Where the store lies: a directory, or a prefix of a bucket. One way to write whole files to both.

In a directory a file is written beside its place, synced and renamed. In a bucket it is written to
a temporary file here and uploaded in one step.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from sdg_assets.objects import Listed, ObjectPath

Place = Path | ObjectPath


def place_of(location: str | Place) -> Place:
    """The directory or bucket that a setting names.

    Args:
        location: A directory, or `s3://bucket/prefix`.

    Raises:
        PermanentError: An `s3://` address that is none.
    """
    if isinstance(location, str):
        return ObjectPath.at(location) if location.startswith("s3://") else Path(location)
    return location


@dataclass(frozen=True)
class Draft:
    """A file that is not in its place yet."""

    place: Place
    path: Path
    file: IO[bytes]

    def publish(self) -> None:
        """Puts what was written in place as a whole; nothing is written after it."""
        self.file.flush()
        if isinstance(self.place, ObjectPath):
            self.place.upload(self.path)
        else:
            os.fsync(self.file.fileno())
            self.path.replace(self.place)


@contextmanager
def draft(place: Place) -> Iterator[Draft]:
    """A file to write; it is gone after the block unless it was published."""
    if isinstance(place, ObjectPath):
        with tempfile.NamedTemporaryFile(prefix="sdg-") as file:
            yield Draft(place, Path(file.name), file)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    tmp = _beside(place)
    try:
        with tmp.open("wb") as opened:
            yield Draft(place, tmp, opened)
    finally:
        tmp.unlink(missing_ok=True)


def write_atomic(place: Place, data: bytes) -> None:
    """Puts a whole file in place, or leaves what was there."""
    if isinstance(place, ObjectPath):
        place.write_bytes(data)
        return
    with draft(place) as out:
        out.file.write(data)
        out.publish()


def listing(place: Place) -> Iterator[Listed]:
    """Every file below a folder, in no promised order; nothing if there is no such folder."""
    if isinstance(place, ObjectPath):
        yield from place.listing()
        return
    for file in place.rglob("*"):
        if file.is_file() and not _is_temporary(file):
            facts = file.stat()
            modified = datetime.fromtimestamp(facts.st_mtime, UTC)
            yield Listed(file.relative_to(place).as_posix(), facts.st_size, modified)


@contextmanager
def local_copy(place: Place) -> Iterator[Path]:
    """A folder as a directory of this machine: itself, or a copy that is gone after the block."""
    if isinstance(place, Path):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="sdg-") as folder:
        for listed in place.listing():
            copy = Path(folder, listed.name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with copy.open("wb") as out, (place / listed.name).open() as file:
                while data := file.read(1 << 20):
                    out.write(data)
        yield Path(folder)


def _beside(path: Path) -> Path:
    # Process ids repeat: in every container the first process is 1.
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _is_temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".tmp")
