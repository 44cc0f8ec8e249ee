"""A pool of processes for work on batches that do not depend on each other.

This process works on batches too, so a pool for two CPUs starts one more process. Batches come back
in their order, and are the same with any number of processes.

The processes are started as programs of their own. A fork would copy the locks of this process's
threads, and polars hangs in it; `multiprocessing` would import the main module of whoever runs a
pipeline a second time.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar

from sdg_assets.errors import TransientError
from sdg_assets.processes.channel import Channel
from sdg_assets.processes.cpus import usable_cpus
from sdg_assets.processes.heap import frozen_heap
from sdg_assets.processes.worker import Result, Task

BatchT = TypeVar("BatchT")
ResultT = TypeVar("ResultT")
MOST_PROCESSES = 8
"""Each takes about 200 MB, and one process can take in the rows of about ten."""
PAYS_FROM = 1000
"""Fewest rows for which other processes are used: to start one takes the CPU time of 2,000 rows,
mostly while teachers are asked."""
QUEUED = 2
"""Batches that a process holds: it has the next one while this process is at work itself."""
WAITING = 4
"""Finished batches per process that may wait for an earlier one."""
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from sdg_assets.processes.worker import main; main(int(sys.argv[1]))"
)
# One thread each: the processes are as many as the CPUs.
_THREADS = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
logger = logging.getLogger(__name__)


class Pool:
    """Processes beside this one, started when they pay. Use as a context manager."""

    def __init__(
        self, processes: int | None = None, warm_up: Callable[[], None] | None = None
    ) -> None:
        """Starts nothing yet.

        Args:
            processes: Processes, including this one; None: the CPUs that this one may use.
            warm_up: Called by each process as soon as it runs, to load what the jobs need: a
                function of a module.
        """
        self.processes = processes or min(usable_cpus(), MOST_PROCESSES)
        self._warm_up = warm_up
        self._workers: list[_Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def prepare(self, rows: int) -> None:
        """Starts the processes if they will pay, so that they are ready when rows are made.

        Args:
            rows: About how many rows there will be.
        """
        if rows >= PAYS_FROM and not self._workers:
            self._workers = [_Worker(self._warm_up) for _ in range(self.processes - 1)]

    def each(
        self, job: Callable[[BatchT], ResultT], batches: Iterable[BatchT], *, rows: int
    ) -> Iterator[ResultT]:
        """Applies a job to batches, in all processes at the same time.

        Args:
            job: What is done to a batch: picklable, and without effects. It may hold open files,
                which are read by offset.
            batches: Picklable batches, taken lazily: few are in memory at a time.
            rows: About how many rows there are in all; see `PAYS_FROM`.

        Yields:
            The results in the order of the batches.

        Raises:
            TransientError: One of the processes was killed.
            Exception: The job raised it; all results before it were yielded.
        """
        self.prepare(rows)
        with frozen_heap():
            if rows < PAYS_FROM or not self._workers:
                yield from map(job, batches)
                return
            try:
                yield from _Round(self._workers, job, batches).results()
                for worker in self._workers:
                    worker.forget()
            except BaseException:
                self.close()  # they are still at work for nothing
                raise

    def close(self) -> None:
        """Ends the processes at once, whatever they do."""
        for worker in self._workers:
            worker.kill()
        self._workers = []


class _Worker:
    """Another process, and what it has been given."""

    def __init__(self, warm_up: Callable[[], None] | None) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 – this package's own module
                [sys.executable, "-c", _START, str(theirs.fileno()), json.dumps(sys.path)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_THREADS},
                process_group=0,  # Ctrl-C is for the process that started it
            )
        self.channel = Channel(ours)
        self.is_ready = False
        """Whether it has started, and received a job."""
        self.batches: dict[int, Any] = {}
        """Number → batch, for the batches that it has not finished."""
        if warm_up:
            self._send(Task("warm-up", warm_up))

    def take(self, job: Callable[[Any], Any]) -> None:
        try:
            self.channel.send_with_files(Task("job", job))
        except OSError as error:
            raise self._gone() from error

    def give(self, number: int, batch: Any) -> None:  # noqa: ANN401 – the job's
        self.batches[number] = batch
        self._send(Task("batch", batch, number))

    def receive(self) -> Result:
        try:
            result: Result = self.channel.receive().content
        except EOFError as error:
            raise self._gone() from error
        return result

    def forget(self) -> None:
        """Has it close the files of its job."""
        self.take(_nothing)

    def kill(self) -> None:
        self.channel.close()
        self._process.kill()
        self._process.wait()

    def _send(self, task: Task) -> None:
        try:
            self.channel.send(task)
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> TransientError:
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return TransientError("a process that makes rows has closed its connection; run again")
        how = (
            f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited ({status})"
        )
        return TransientError(
            f"a process that makes rows {how}; run again. If memory is short, give this step more "
            f"memory, or fewer CPUs: it starts one process per CPU, at most {MOST_PROCESSES}"
        )


def _nothing(batch: object) -> None:
    """The job of a process that has none."""
    raise AssertionError(batch)


class _Round(Generic[BatchT, ResultT]):
    """One job on all its batches."""

    def __init__(
        self,
        workers: Sequence[_Worker],
        job: Callable[[BatchT], ResultT],
        batches: Iterable[BatchT],
    ) -> None:
        self._workers, self._job = workers, job
        self._left = enumerate(batches)
        self._next: deque[tuple[int, BatchT]] = deque()
        """The next batches. Of the last ones no process takes two: the others would wait for it."""
        self._done: dict[int, ResultT] = {}
        self._failed: dict[int, BatchT] = {}
        """Batches whose job failed in another process."""
        self._yielded = 0
        self._selector = selectors.DefaultSelector()

    def results(self) -> Iterator[ResultT]:
        """All results in order."""
        with self._selector:
            for worker in self._workers:
                self._selector.register(worker.channel, selectors.EVENT_READ, worker)
                worker.take(self._job)
            while True:
                self._receive(wait=False)
                self._give()
                if self._yielded in self._done:
                    yield self._done.pop(self._yielded)
                    self._yielded += 1
                elif self._yielded in self._failed:
                    # It raises the same error here, with its whole history.
                    self._done[self._yielded] = self._job(self._failed.pop(self._yielded))
                elif self._has_room and self._look_ahead():
                    number, batch = self._next.popleft()
                    self._done[number] = self._job(batch)
                elif any(worker.batches for worker in self._workers):
                    self._receive(wait=True)
                else:
                    return

    @property
    def _has_room(self) -> bool:
        """Whether another batch may be begun: an early one may take long."""
        under_way = len(self._done) + sum(len(worker.batches) for worker in self._workers)
        return under_way < WAITING * (len(self._workers) + 1)

    def _look_ahead(self) -> int:
        """Reads batches until it is known whether there are enough for all; returns how many."""
        while len(self._next) <= len(self._workers) + 1 and (item := next(self._left, None)):
            self._next.append(item)
        return len(self._next)

    def _give(self) -> None:
        for queued in range(1, QUEUED + 1):
            for worker in self._workers:
                needed = 1 if queued == 1 else len(self._workers) + 2
                while (
                    worker.is_ready
                    and len(worker.batches) < queued
                    and self._has_room
                    and self._look_ahead() >= needed
                ):
                    worker.give(*self._next.popleft())

    def _receive(self, *, wait: bool) -> None:
        for key, _ in self._selector.select(None if wait else 0):
            worker: _Worker = key.data
            result = worker.receive()
            if result.number is None:
                worker.is_ready = True
                continue
            batch: BatchT = worker.batches.pop(result.number)
            if result.failure:
                logger.info("a batch failed in another process:\n%s", result.failure)
                self._failed[result.number] = batch
            else:
                self._done[result.number] = result.content
