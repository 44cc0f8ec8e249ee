"""How a command ends: with an exit code, and with one line for an error that we raise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from sdg_assets.errors import SdgError

CANNOT_BE_DONE = 2
P = ParamSpec("P")


def command(main: Callable[P, int]) -> Callable[P, int]:
    """A command's `main` that prints our own errors as `error: …` and returns 2 for them."""

    @wraps(main)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except SdgError as error:
            sys.stderr.write(f"error: {error}\n")
            return CANNOT_BE_DONE
        except BrokenPipeError:
            # `… | head` is no failure; nothing more can be written, at exit neither.
            sys.stderr.close()
            return 0

    return guarded
