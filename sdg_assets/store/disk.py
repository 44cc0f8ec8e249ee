"""Turns file system errors into errors that name the path, the cause and what a person can do."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdg_assets.errors import FullDiskError, SdgError, StoreError, TransientError

# Prefix of this package's temporary directories, and of nothing else: directories that killed
# processes left behind are deleted by age.
SCRATCH = "sdg-scratch-"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
# A file server is unreachable for a moment. EIO may also come from the disk itself and pass.
PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO, errno.EHOSTDOWN}


@contextmanager
def clear_errors(path: Path | str, setting: str = "SDG_STORE") -> Iterator[None]:
    """Turns an `OSError` of the block into an error that says what to do.

    A `FileNotFoundError` is passed on: only the caller knows what a missing file means.

    Args:
        path: The path that is read or written, for errors that name no path.
        setting: Environment variable with which the user can choose another location.

    Raises:
        StoreError: The disk is full, the path may not be read or written, or is of a wrong kind.
        TransientError: The disk, or its server, failed.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise clear_error(error, path, setting) from error


def clear_error(error: OSError, path: Path | str, setting: str = "SDG_STORE") -> SdgError:
    """The error that `clear_errors` raises for an `OSError`; same arguments."""
    where = error.filename or path
    cause = error.strerror or str(error)
    if error.errno in FULL:
        return FullDiskError(
            f"{where}: cannot be written ({cause}); free space there or set {setting} to another "
            "place, and run again. Everything published before is unchanged"
        )
    if error.errno in FORBIDDEN:
        return StoreError(
            f"{where}: may not be read or written by user {os.geteuid()} ({cause}); change its "
            f"permissions or its mount, or set {setting} to another place, and run again"
        )
    if error.errno in PASSING:
        return TransientError(f"{where}: the disk or its server failed ({cause}); run again")
    return StoreError(f"{where}: cannot be read or written ({cause}); check {setting}")


@contextmanager
def clear_refusals(store: object) -> Iterator[None]:
    """Like `clear_errors`, for a block that reads and writes many files.

    Only errors that must come from a disk are turned: a full disk, or a forbidden path with a name.

    Args:
        store: The store's root, for errors that name no path.

    Raises:
        StoreError: A disk is full, or a path may not be read or written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL or (error.errno in FORBIDDEN and error.filename):
            place = f"{store} or {temporary_directory()}"
            raise clear_error(error, place, "SDG_STORE or TMPDIR") from error
        raise


def temporary_directory() -> Path:
    """The directory of temporary files (`TMPDIR`).

    Raises:
        StoreError: No directory for temporary files is writable.
    """
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise StoreError(f"no temporary directory can be written ({error}); set TMPDIR") from error
