"""An error of this package as a failed step that says what to do, retried only if that may help."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from sdg_assets.errors import PermanentError, SdgError


@contextmanager
def clear_failures() -> Iterator[None]:
    """Turns an `SdgError` into a `dg.Failure` with its message."""
    try:
        yield
    except SdgError as error:
        permanent = isinstance(error, PermanentError)
        raise dg.Failure(str(error), allow_retries=not permanent) from error
