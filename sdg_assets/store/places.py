"""Places: paths in a directory or in a bucket, and atomic writes of files to both.

In a directory a file is written under a temporary name in the same folder, synced and renamed. For
a bucket it is written to an unnamed local temporary file and uploaded in one step.
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
# Errors of file systems that cannot sync a folder: CIFS, some FUSE mounts.
NO_FOLDER_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def place_of(location: str | Place) -> Place:
    """The place that a setting names.

    Args:
        location: A directory, or `s3://bucket/prefix`.

    Raises:
        PermanentError: The `s3://` address is not valid.
    """
    if isinstance(location, str):
        return ObjectPath.at(location) if location.startswith("s3://") else Path(location)
    return location


@dataclass(frozen=True)
class Draft:
    """A file that is being written and not yet published at its place."""

    place: Place
    """Where the file will be published."""
    path: Path
    """The temporary file; for a bucket, the directory of temporary files."""
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
        """Sets the file's time to now, so that it does not look abandoned (`ABANDONED`)."""
        if isinstance(self.place, Path):
            with suppress(FileNotFoundError):  # `publish` will raise for it
                os.utime(self.path)

    def publish(self, place: Place | None = None) -> None:
        """Publishes the file atomically. Nothing may be written to it afterwards.

        Args:
            place: Where to publish the file instead of `self.place`; in the same folder.

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
    """Opens a draft. It is deleted after the block unless it was published.

    Raises:
        StoreError: The disk is full, or may not be written.
    """
    if isinstance(place, ObjectPath):
        folder = temporary_directory()
        with clear_errors(folder, "TMPDIR"):
            # Unnamed: it disappears even if the process is killed.
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
        with suppress(OSError):  # the disk is full; the rest of the buffer is not needed
            file.close()
        if isinstance(place, Path):
            with suppress(OSError):  # missing if published; any other failure: deleted by age
                path.unlink()


def write_atomic(place: Place, data: bytes) -> None:
    """Creates or replaces a file atomically.

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
    """Waits until the entries of a directory are on disk (fsync). Does nothing in a bucket."""
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
    """Every file below a folder except drafts, in any order; nothing if the folder is missing."""
    if isinstance(place, ObjectPath):
        yield from place.listing()
        return
    for file in _files_below(place):
        if _is_draft(file):
            continue
        try:
            status = file.stat()
        except FileNotFoundError:
            continue  # deleted by another run since it was listed
        if stat.S_ISREG(status.st_mode):
            modified = datetime.fromtimestamp(status.st_mtime, UTC)
            yield Listed(file.relative_to(place).as_posix(), status.st_size, modified)


def _is_draft(file: Path) -> bool:
    return file.name.startswith(".") and file.name.endswith(DRAFT)


def _files_below(folder: Path) -> Iterator[Path]:
    """Every file below a directory. `Path.rglob` fails if a folder is deleted while it walks."""

    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise error

    for parent, _, names in os.walk(folder, onerror=failed):
        yield from (Path(parent, name) for name in names)


def clear_drafts(folder: Place, before: datetime) -> int:
    """Removes drafts that killed processes left below a directory. A bucket has no drafts.

    Args:
        folder: The directory.
        before: Drafts last modified before this time are removed.

    Returns:
        Number of removed drafts.
    """
    removed = 0
    if isinstance(folder, Path):
        for file in filter(_is_draft, _files_below(folder)):
            with suppress(FileNotFoundError):
                status = file.stat()
                if stat.S_ISREG(status.st_mode) and status.st_mtime < before.timestamp():
                    file.unlink()
                    removed += 1
    return removed


def clear_scratch(before: datetime) -> int:
    """Removes this user's scratch directories that killed processes left; see `scratch`.

    Args:
        before: Directories in which nothing was modified since this time are removed.

    Returns:
        Number of removed directories.
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
    """A folder as a local directory: itself, or a copy of it that is deleted after the block."""
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
    """A local temporary directory that is deleted after the block.

    Directories of killed processes are deleted by age; see `clear_scratch`.

    Raises:
        StoreError: The temporary directory is full, or may not be written.
    """
    with clear_errors(temporary_directory(), "TMPDIR"):
        directory = tempfile.TemporaryDirectory(prefix=SCRATCH)
    with directory as folder:
        yield Path(folder)


def _beside(path: Path) -> Path:
    # The process id alone is not unique: the first process of every container has id 1.
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{DRAFT}")
