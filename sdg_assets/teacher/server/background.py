"""The background thread that sends all requests to servers.

It is a daemon thread with an event loop, so a process that was told to stop ends at once, even with
hundreds of requests under way.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

NAME = "teacher"
ResultT = TypeVar("ResultT")


def run(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Runs a coroutine in the background thread and returns its result.

    The caller waits, and a signal can interrupt it.

    Raises:
        RuntimeError: The caller is the background thread itself.
    """
    if threading.current_thread().name == NAME:
        work.close()
        raise RuntimeError("the background thread would wait for itself")
    return asyncio.run_coroutine_threadsafe(work, background()).result()


@cache
def background() -> asyncio.AbstractEventLoop:
    """The event loop of all servers; it runs until the process ends."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name=NAME, daemon=True).start()
    return loop
