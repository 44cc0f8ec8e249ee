"""Turns this package's errors into failed steps. Permanent errors are not retried."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from sdg_assets.errors import PermanentError, SdgError


@contextmanager
def clear_failures() -> Iterator[None]:
    """Turns an `SdgError` into a `dg.Failure` with the same message.

    Raises:
        dg.Failure: The block raised an `SdgError`. Retries are off if it is a `PermanentError`.
    """
    try:
        yield
    except SdgError as error:
        permanent = isinstance(error, PermanentError)
        raise dg.Failure(str(error), allow_retries=not permanent) from error
