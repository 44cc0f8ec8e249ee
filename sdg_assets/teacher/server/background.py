"""The thread that all requests to servers run in, beside whatever a step does.

It is a daemon with an event loop: a process that was told to stop ends at once, with hundreds of
requests under way.
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
    """The result of work in the background thread; the caller waits, and can be interrupted."""
    if threading.current_thread().name == NAME:
        work.close()
        raise RuntimeError("the background thread would wait for itself")
    return asyncio.run_coroutine_threadsafe(work, background()).result()


@cache
def background() -> asyncio.AbstractEventLoop:
    """The event loop of all servers, which runs for as long as the process does."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name=NAME, daemon=True).start()
    return loop
