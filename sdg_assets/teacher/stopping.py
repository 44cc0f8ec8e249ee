"""Ending a process at any moment, within seconds, saying why, with every answer in the log.

Python runs a signal's handler only between two bytecodes of the main thread. While that thread is
deep in C (an engine's step, the load of a model), or where a library swallows what the handler
raises, Ctrl-C and SIGTERM do nothing. A thread beside it therefore watches: it is woken by the
signal itself, has the completion logs written out, raises in the engine's code once more, and ends
the process if that is still at it after `GRACE_SECONDS`.

The same thread notices an engine that is frozen: one that has produced no token for too long.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

GRACE_SECONDS = 2.5
"""From a signal until the process is ended by force, if its main thread goes on as before."""
UNWINDING_SECONDS = 4.0
"""From a signal until then, if the main thread has noticed and is ending its work."""
LAST_WORDS_SECONDS = 2.0
"""At most so much more for the event log to be told why."""
RAISE_AGAIN_SECONDS = 1.0
LOOK_SECONDS = 1.0
TEMPORARY_FAILURE = os.EX_TEMPFAIL
"""Exit status of a process that was ended because its engine is frozen."""
REASONS = {
    signal.SIGINT: "Ctrl-C or a termination in Dagster (SIGINT)",
    signal.SIGTERM: "SIGTERM (an eviction, a shutdown or a kill)",
}


class StoppedError(BaseException):
    """Raised in an engine's code after a signal that it had swallowed."""


class FrozenError(BaseException):
    """Raised in an engine's code that has produced no token for too long."""


class EngineWork:
    """A stretch of an engine's code, and the thread that is in it."""

    def __init__(self, patience: float | None) -> None:
        """Begins now.

        Args:
            patience: Seconds without progress after which the engine counts as frozen.
        """
        self.patience = patience
        self.last = time.monotonic()
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._inside = True

    def progressed(self) -> None:
        """Takes note of a token."""
        self.last = time.monotonic()

    @property
    def is_frozen(self) -> bool:
        """Whether there was no progress for too long."""
        return self.patience is not None and time.monotonic() - self.last > self.patience

    def interrupt(self, kind: type[BaseException]) -> None:
        """Raises in the thread, as soon as it runs Python again, if it is still inside."""
        with self._lock:
            if self._inside:
                _raise_in(self._thread, kind)

    def leave(self) -> None:
        """Ends the stretch; nothing is raised from here on."""
        with self._lock:
            self._inside = False
            _raise_in(self._thread, None)


class _Watch:
    """What the watching threads know of this process."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.is_unwinding = False
        self.works: set[EngineWork] = set()
        self.flushes: set[Callable[[], None]] = set()
        self.last_words: Callable[[str], bool] | None = None
        self._receiver: socket.socket | None = None
        self._sender: socket.socket | None = None
        self._engine_thread: threading.Thread | None = None

    def listen(self) -> None:
        """Has signals reported to a thread, from now on for as long as the process lives."""
        if threading.current_thread() is not threading.main_thread():
            return
        if self._sender is None:
            self._receiver, self._sender = socket.socketpair()
            self._sender.setblocking(False)
            threading.Thread(target=self._hear, name="signals", daemon=True).start()
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)

    def watch_engine(self) -> None:
        if self._engine_thread is None:
            self._engine_thread = threading.Thread(
                target=self._look_at_engine, name="engine watch", daemon=True
            )
            self._engine_thread.start()

    def _hear(self) -> None:
        assert self._receiver
        while True:
            for number in self._receiver.recv(64):
                if number in (signal.SIGINT, signal.SIGTERM):
                    self.signal = signal.Signals(number)
                    self._end(self.signal)

    def _end(self, received: signal.Signals) -> None:
        """Waits for the main thread to end what it does; after the grace ends the process."""
        for flush in list(self.flushes):
            threading.Thread(target=_silently, args=(flush,), daemon=True).start()
        words = self.last_words
        began = time.monotonic()
        while (left := began + self._grace() - time.monotonic()) > 0:
            time.sleep(min(left, RAISE_AGAIN_SECONDS))
            for work in list(self.works):
                work.interrupt(StoppedError)
        if words is not None:
            self._exit(words, REASONS[received], 128 + received)

    def _grace(self) -> float:
        return UNWINDING_SECONDS if self.is_unwinding else GRACE_SECONDS

    def _look_at_engine(self) -> None:
        while True:
            patience = [work.patience for work in list(self.works) if work.patience]
            time.sleep(min([LOOK_SECONDS, *(seconds / 4 for seconds in patience)]))
            for work in list(self.works):
                if work.is_frozen:
                    self._end_frozen(work)

    def _end_frozen(self, work: EngineWork) -> None:
        work.interrupt(FrozenError)
        patience = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < patience:
            time.sleep(0.1)
            if work not in self.works:
                return
        minutes = (work.patience or 0) / 60
        reason = f"a frozen engine: no token for {minutes:g} min (SDG_STALLED_MINUTES)"
        self._exit(self.last_words or (lambda _: True), reason, TEMPORARY_FAILURE)

    def _exit(self, words: Callable[[str], bool], reason: str, status: int) -> None:
        """Ends the process unless its run is over.

        Args:
            words: Says so where people look; false if the run is over.
            reason: What ended it.
            status: The exit status.
        """
        answers: list[bool] = []

        def speak() -> None:
            try:
                answers.append(words(reason))
            except Exception as error:  # noqa: BLE001 – the process ends, and nobody handles it
                sys.stderr.write(f"the event log was not told: {type(error).__name__}: {error}\n")

        speaker = threading.Thread(target=speak, daemon=True)
        speaker.start()
        speaker.join(LAST_WORDS_SECONDS)
        if answers != [False]:
            sys.stderr.write(f"ended by {reason}\n")
            sys.stderr.flush()
            os._exit(status)


_watch = _Watch()


def listen() -> None:
    """Notices SIGINT and SIGTERM from now on, whoever handles them; only in the main thread."""
    _watch.listen()


def received() -> signal.Signals | None:
    """The signal that told this process to end, if one came."""
    # The thread that hears it is a moment behind the handler.
    if _watch.signal is None:
        time.sleep(0.05)
    return _watch.signal


def unwinding() -> None:
    """Says that the main thread has noticed the signal, and is ending its work."""
    _watch.is_unwinding = True
    gc.freeze()  # or Python looks through everything once more as it ends, for up to seconds


def prepare(last_words: Callable[[str], bool]) -> None:
    """Has the reason told should this process have to be ended by force.

    That holds until somebody else prepares: a process may also hang in what comes after its work.

    Args:
        last_words: Takes the reason and says it where people look. False if nothing was left to be
            done, so that the process need not be ended.
    """
    listen()
    _watch.signal = None  # one that ended an earlier run of this process is over
    _watch.is_unwinding = False
    _watch.last_words = last_words


@contextmanager
def flushed(flush: Callable[[], None]) -> Iterator[None]:
    """Has something written out as soon as a signal comes, beside whatever the block does."""
    _watch.flushes.add(flush)
    try:
        yield
    finally:
        _watch.flushes.discard(flush)


@contextmanager
def engine_work(patience: float | None = None) -> Iterator[EngineWork]:
    """Code of an engine, which may swallow an interrupt, or freeze.

    Args:
        patience: Seconds without a token after which it counts as frozen; None: it may be silent.

    Raises:
        StoppedError: A signal came, and the engine went on.
        FrozenError: The engine produced no token for too long.
    """
    work = EngineWork(patience)
    _watch.works.add(work)
    if patience:
        _watch.watch_engine()
    try:
        yield work
    finally:
        _watch.works.discard(work)
        work.leave()
    if _watch.signal is not None:
        raise StoppedError


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(kind) if kind else None
    )


def _silently(flush: Callable[[], None]) -> None:
    """Whoever owns what is flushed closes it as well, and reports what is wrong with it."""
    with suppress(Exception):
        flush()
