"""Whether programs may run without isolation: decided at the edge, never by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ALLOWED: ContextVar[bool] = ContextVar("unisolated_programs_allowed", default=False)


@contextmanager
def unisolated_programs(*, allowed: bool) -> Iterator[None]:
    """Allows or forbids running programs without isolation, inside the `with` block.

    Applies only to the thread that enters the block. Outside such a block it is forbidden.

    Args:
        allowed: The value of SDG_ALLOW_UNSANDBOXED_CODE.
    """
    before = _ALLOWED.set(allowed)
    try:
        yield
    finally:
        _ALLOWED.reset(before)


def may_run_unisolated() -> bool:
    """Whether a program may run without isolation."""
    return _ALLOWED.get()
