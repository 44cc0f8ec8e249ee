"""Keeps the garbage collector away from objects that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Leaves the objects that exist now out of garbage collection during the block.

    With Dagster and an engine in memory they are half a million: a full collection took 0.28 s,
    half as long as 2,000 rows take to be published.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
