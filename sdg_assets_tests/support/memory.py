"""Measures how the memory of a function grows with the number of rows, without a clock."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable


def bytes_a_row(action: Callable[[int], object], rows: int) -> float:
    """How much more memory Python holds, at its peak, for each row from `rows` to four times that.

    Args:
        action: Does the work for so many rows.
        rows: The smaller number. Caches of fixed size must be full with it.
    """
    action(rows)  # imports, and caches of the process
    return (_peak(action, 4 * rows) - _peak(action, rows)) / (3 * rows)


def peak_bytes(action: Callable[[], object]) -> int:
    """The most memory that Python holds at a time while it runs."""
    return _peak(lambda _: action(), 0)


def _peak(action: Callable[[int], object], rows: int) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        action(rows)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
