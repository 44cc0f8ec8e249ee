"""The other process of a pool: it runs batches for the process that started it, until that ends."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Literal, NamedTuple

from sdg_assets.processes.channel import Channel, Message


class Task(NamedTuple):
    """A message to a worker: what to load, or a job, or a batch of the newest job."""

    kind: Literal["warm-up", "job", "batch"]
    content: Any
    number: int = 0
    """The number of the batch."""


class Result(NamedTuple):
    """A worker's answer to a job or a batch."""

    number: int | None
    """The number of the batch; None: the job has been received."""
    content: Any = None
    failure: str = ""
    """The traceback, if the batch raised an exception."""


def main(descriptor: int) -> None:
    """Runs batches until the other end closes.

    Args:
        descriptor: This process's end of the connection.
    """
    # The process that started this one decides when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=descriptor))
    messages: SimpleQueue[Message] = SimpleQueue()
    threading.Thread(target=_receive, args=(channel, messages), daemon=True).start()
    job: Callable[[Any], Any] | None = None
    while True:
        task: Task = messages.get().content
        if task.kind == "warm-up":
            task.content()
            gc.freeze()  # what is loaded stays: no collection has to look at it again
        elif task.kind == "job":
            job = task.content  # closes the files of the one before
            channel.send(Result(None))
        else:
            assert job is not None
            channel.send(_result(job, task))


def _receive(channel: Channel, messages: SimpleQueue[Message]) -> None:
    """Empties the connection at all times: two processes that both only write would wait for ever.

    It also ends this process in the midst of a batch if the other one is gone, however it ended.
    """
    while True:
        try:
            messages.put(channel.receive())
        except EOFError:
            os._exit(0)


def _result(job: Callable[[Any], Any], task: Task) -> Result:
    try:
        return Result(task.number, job(task.content))
    except Exception:  # noqa: BLE001 – the other process meets the error itself
        return Result(task.number, failure=traceback.format_exc())
