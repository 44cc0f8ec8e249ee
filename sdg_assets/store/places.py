"""Where the store lies: a directory, or a prefix of a bucket. One way to write whole files to both.

In a directory a file is written beside its place, synced and renamed. In a bucket it is written to
a nameless temporary file here and uploaded in one step.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from sdg_assets.errors import TransientError
from sdg_assets.store.disk import SCRATCH, clear_error, clear_errors, temporary_directory
from sdg_assets.store.objects import Listed, ObjectPath

Place = Path | ObjectPath
DRAFT = ".tmp"
# What a file system says that cannot sync a folder apart from its files: CIFS, some FUSE mounts.
NO_FOLDER_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


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
    """Where it is written; in a bucket, the directory of temporary files."""
    file: IO[bytes]

    def write(self, data: bytes) -> None:
        """Appends to the file.

        Raises:
            StoreError: The disk is full, or may not be written.
        """
        try:
            self.file.write(data)
        except OSError as error:
            raise clear_error(error, self.path, self._setting) from error

    def touch(self) -> None:
        """Marks the file as one that somebody is still writing; see `storage.ABANDONED`."""
        if isinstance(self.place, Path):
            with suppress(FileNotFoundError):  # `publish` says so
                os.utime(self.path)

    def publish(self, place: Place | None = None) -> None:
        """Puts what was written in place as a whole; nothing is written after it.

        Args:
            place: Another place than the one it was meant for, in the same folder.

        Raises:
            StoreError: The disk is full, or may not be written.
            TransientError: The file was deleted while it was written.
        """
        target = place or self.place
        with clear_errors(self.path, self._setting):
            self.file.flush()
            if isinstance(target, ObjectPath):
                target.upload(self.file)
                return
            os.fsync(self.file.fileno())
            try:
                self.path.replace(target)
            except FileNotFoundError:
                raise TransientError(
                    f"{self.path}: deleted while it was written; run again"
                ) from None

    @property
    def _setting(self) -> str:
        return "SDG_STORE" if isinstance(self.place, Path) else "TMPDIR"


@contextmanager
def draft(place: Place) -> Iterator[Draft]:
    """A file to write; it is gone after the block unless it was published.

    Raises:
        StoreError: The disk is full, or may not be written.
    """
    if isinstance(place, ObjectPath):
        folder = temporary_directory()
        with clear_errors(folder, "TMPDIR"):
            # Without a name, so that nothing is left of it if the process is killed.
            file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        path = folder
    else:
        with clear_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            path = _beside(place)
            file = path.open("wb")
    try:
        yield Draft(place, path, file)
    finally:
        with suppress(OSError):  # on a full disk: what is left in the buffer is not wanted
            file.close()
        if isinstance(place, Path):
            with suppress(OSError):  # not there if published; else cleared by age
                path.unlink()


def write_atomic(place: Place, data: bytes) -> None:
    """Puts a whole file in place, or leaves what was there.

    Raises:
        StoreError: The disk is full, or may not be written.
    """
    if isinstance(place, ObjectPath):
        place.write_bytes(data)
        return
    with draft(place) as out:
        out.write(data)
        out.publish()
    sync_folder(place.parent)


def sync_folder(folder: Place) -> None:
    """Waits until the names of a directory's files are on disk; a bucket has them there."""
    if isinstance(folder, ObjectPath):
        return
    with clear_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in NO_FOLDER_SYNC:
                raise
        finally:
            os.close(descriptor)


def listing(place: Place) -> Iterator[Listed]:
    """Every file below a folder, in no promised order; nothing if there is no such folder."""
    if isinstance(place, ObjectPath):
        yield from place.listing()
        return
    for file in place.rglob("*"):
        if file.name.startswith(".") and file.name.endswith(DRAFT):
            continue
        try:
            facts = file.stat()
        except FileNotFoundError:
            continue  # published or deleted by another run in the meantime
        if stat.S_ISREG(facts.st_mode):
            modified = datetime.fromtimestamp(facts.st_mtime, UTC)
            yield Listed(file.relative_to(place).as_posix(), facts.st_size, modified)


def clear_drafts(folder: Place, before: datetime) -> int:
    """Removes drafts below a directory that killed processes left. In a bucket there are none.

    Args:
        folder: The directory.
        before: Drafts last written to before then are nobody's.

    Returns:
        How many were removed.
    """
    removed = 0
    if isinstance(folder, Path):
        for file in folder.rglob(f".*{DRAFT}"):
            with suppress(FileNotFoundError):
                facts = file.stat()
                if stat.S_ISREG(facts.st_mode) and facts.st_mtime < before.timestamp():
                    file.unlink()
                    removed += 1
    return removed


def clear_scratch(before: datetime) -> int:
    """Removes scratch directories of this user that killed processes left; see `scratch`.

    Args:
        before: Those in which nothing was written since then are nobody's.

    Returns:
        How many were removed.
    """
    removed = 0
    for folder in temporary_directory().glob(f"{SCRATCH}*"):
        with suppress(FileNotFoundError):
            if folder.lstat().st_uid != os.geteuid():
                continue
            newest = max(file.lstat().st_mtime for file in (folder, *folder.rglob("*")))
            if newest < before.timestamp():
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
    return removed


@contextmanager
def local_copy(place: Place) -> Iterator[Path]:
    """A folder as a directory of this machine: itself, or a copy that is gone after the block."""
    if isinstance(place, Path):
        yield place
        return
    with scratch() as folder:
        for listed in place.listing():
            copy = folder / listed.name
            with clear_errors(copy, "TMPDIR"):
                copy.parent.mkdir(parents=True, exist_ok=True)
                with copy.open("wb") as out, (place / listed.name).open() as file:
                    while data := file.read(1 << 20):
                        out.write(data)
        yield folder


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory of this machine for one piece of work, gone after the block.

    What a killed process leaves is cleared by age; see `clear_scratch`.

    Raises:
        StoreError: The temporary directory is full, or may not be written.
    """
    with clear_errors(temporary_directory(), "TMPDIR"):
        made = tempfile.TemporaryDirectory(prefix=SCRATCH)
    with made as folder:
        yield Path(folder)


def _beside(path: Path) -> Path:
    # Process ids repeat: in every container the first process is 1.
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{DRAFT}")
