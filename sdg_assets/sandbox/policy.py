"""Whether programs may run where nothing isolates them: decided at the edge, never by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ALLOWED: ContextVar[bool] = ContextVar("unisolated_programs_allowed", default=False)


@contextmanager
def unisolated_programs(*, allowed: bool) -> Iterator[None]:
    """Allows or forbids, inside the block, to run programs that nothing isolates.

    It holds for the thread that enters it. Outside of such a block it is forbidden.

    Args:
        allowed: What SDG_ALLOW_UNSANDBOXED_CODE says.
    """
    before = _ALLOWED.set(allowed)
    try:
        yield
    finally:
        _ALLOWED.reset(before)


def may_run_unisolated() -> bool:
    """Whether a program may run although nothing isolates it."""
    return _ALLOWED.get()
