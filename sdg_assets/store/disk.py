"""What a file system refuses, in words: which path, why, and what a person can do about it."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdg_assets.errors import FullDiskError, SdgError, StoreError, TransientError

# Begins the names of this package's temporary directories and of nothing else's: those that killed
# processes leave are deleted by age.
SCRATCH = "sdg-scratch-"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
# A file server that is away for a moment. The disk itself may say EIO once, too.
PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO, errno.EHOSTDOWN}


@contextmanager
def clear_errors(path: Path | str, setting: str = "SDG_STORE") -> Iterator[None]:
    """Turns what a file system refuses into an error that says what to do.

    A missing file stays a `FileNotFoundError`: what that means, the reader knows.

    Args:
        path: What is read or written, where the error itself does not say.
        setting: The variable that names another place to write to.

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
    """The error that `clear_errors` raises for what a file system has said."""
    where = error.filename or path
    said = error.strerror or str(error)
    if error.errno in FULL:
        return FullDiskError(
            f"{where}: cannot be written ({said}); free space there or set {setting} to another "
            "place, and run again. What was published before is as it was"
        )
    if error.errno in FORBIDDEN:
        return StoreError(
            f"{where}: may not be read or written by user {os.geteuid()} ({said}); change its "
            f"rights or its mount, or set {setting} to another place, and run again"
        )
    if error.errno in PASSING:
        return TransientError(f"{where}: the disk or its server failed ({said}); run again")
    return StoreError(f"{where}: cannot be read or written ({said}); see {setting}")


@contextmanager
def clear_refusals(store: object) -> Iterator[None]:
    """As `clear_errors`, around work that reads and writes in many places.

    Only what a disk alone can say is turned: that it is full, or that a named path is forbidden.

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
    """Where temporary files lie.

    Raises:
        StoreError: No directory for them can be written.
    """
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise StoreError(f"no temporary directory can be written ({error}); set TMPDIR") from error
