"""Ends a process within 5 seconds of SIGTERM or SIGINT, with its reason and its answers recorded.

Python runs a signal handler only between two bytecodes of the main thread. While that thread is in
C code (an engine's step, the load of a model), or if a library swallows the handler's exception,
Ctrl-C and SIGTERM have no effect. A second thread therefore watches. The signal itself wakes it; it
has the completion logs written out, raises an exception in the engine's code again, and ends the
process if the main thread goes on after `GRACE_SECONDS`.

The end of the interpreter can also take long. On a busy machine with 2 cores the exit handler of
vLLM took up to 5 s: it calls `gc.collect`, which holds Python's global lock for 2 s, several times.
Destroying the modules then took 6.7 s. A process that was told to end skips both.

Another thread notices a frozen engine: one that has produced no token for too long.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

GRACE_SECONDS = 2.5
"""Seconds from a signal to the forced end, if the main thread does not react to the signal."""
UNWINDING_SECONDS = 3.0
"""Seconds from a signal to the forced end, if the main thread has begun to end its work."""
LAST_WORDS_SECONDS = 1.5
"""Seconds added to either, at most, for writing the reason to the event log."""
EXIT_SECONDS = 1.0
"""Seconds from the end of the main thread to the forced end: other threads may still run."""
RECENT_SECONDS = 60.0
"""An exit this long after a signal has nothing to do with it (a notebook goes on after Ctrl-C)."""
RAISE_AGAIN_SECONDS = 1.0
LOOK_SECONDS = 1.0
POLL_SECONDS = 0.1
TEMPORARY_FAILURE = os.EX_TEMPFAIL
"""Exit status of a process that is ended because its engine is frozen."""
REASONS = {
    signal.SIGINT: "Ctrl-C or a termination in Dagster (SIGINT)",
    signal.SIGTERM: "SIGTERM (an eviction, a shutdown or a kill)",
}


class StoppedError(BaseException):
    """Raised in an engine's code that goes on after a signal."""


class FrozenError(BaseException):
    """Raised in an engine's code that has produced no token for too long."""


class EngineWork:
    """One call into an engine's code, and the thread that runs it."""

    def __init__(self, patience: float | None) -> None:
        """Begins now, in the current thread.

        Args:
            patience: Seconds without progress after which the engine counts as frozen; None: never.
        """
        self.patience = patience
        self.last = time.monotonic()
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._inside = True

    def progressed(self) -> None:
        """Records that the engine has produced a token."""
        self.last = time.monotonic()

    @property
    def is_frozen(self) -> bool:
        """Whether the last progress is more than `patience` seconds ago."""
        return self.patience is not None and time.monotonic() - self.last > self.patience

    def interrupt(self, kind: type[BaseException]) -> None:
        """Raises an exception in the thread as soon as it runs Python code, if still inside."""
        with self._lock:
            if self._inside:
                _raise_in(self._thread, kind)

    def leave(self) -> None:
        """Marks the call as over; `interrupt` raises nothing after that."""
        with self._lock:
            self._inside = False
            _raise_in(self._thread, None)


class _Watch:
    """The state that the watching threads share."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.signal_at = 0.0
        self.is_unwinding = False
        self.works: set[EngineWork] = set()
        self.flushes: set[Callable[[], None]] = set()
        self.last_words: Callable[[str], bool] | None = None
        self._receiver: socket.socket | None = None
        self._sender: socket.socket | None = None
        self._engine_thread: threading.Thread | None = None

    def listen(self) -> None:
        """Has signals reported to a thread until the process ends."""
        if threading.current_thread() is not threading.main_thread():
            return
        if self._sender is None:
            self._receiver, self._sender = socket.socketpair()
            self._sender.setblocking(False)
            threading.Thread(target=self._receive_signals, name="signals", daemon=True).start()
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        _interrupt_waits()

    def watch_engine(self) -> None:
        if self._engine_thread is None:
            self._engine_thread = threading.Thread(
                target=self._look_for_frozen, name="engine watch", daemon=True
            )
            self._engine_thread.start()

    def _receive_signals(self) -> None:
        assert self._receiver
        while True:
            for number in self._receiver.recv(64):
                if number in (signal.SIGINT, signal.SIGTERM):
                    self.signal_at = time.monotonic()
                    atexit.register(_skip_teardown)  # the last one registered runs first
                    self.signal = signal.Signals(number)
                    self._end(self.signal)

    def _end(self, received: signal.Signals) -> None:
        """Gives the main thread time to end its work, then ends the process."""
        for flush in list(self.flushes):
            threading.Thread(target=_silently, args=(flush,), daemon=True).start()
        words, raise_at = self.last_words, self.signal_at + RAISE_AGAIN_SECONDS
        while _main_thread_runs() and time.monotonic() < self.signal_at + self._grace():
            time.sleep(POLL_SECONDS)
            if time.monotonic() >= raise_at:
                raise_at += RAISE_AGAIN_SECONDS
                for work in list(self.works):
                    work.interrupt(StoppedError)
        if words is not None and _main_thread_runs():
            self._exit(words, REASONS[received], 128 + received)
        # The run is over, and the event log knows. A notebook's process goes on after Ctrl-C.
        threading.Thread(target=self._end_with_main_thread, args=(received,), daemon=True).start()

    def _end_with_main_thread(self, received: signal.Signals) -> None:
        """Ends the process `EXIT_SECONDS` after its main thread is over."""
        while _main_thread_runs():
            if self.signal is None or time.monotonic() > self.signal_at + RECENT_SECONDS:
                return
            time.sleep(POLL_SECONDS)
        time.sleep(EXIT_SECONDS)
        os._exit(128 + received)

    def _grace(self) -> float:
        return UNWINDING_SECONDS if self.is_unwinding else GRACE_SECONDS

    def _look_for_frozen(self) -> None:
        while True:
            patiences = [work.patience for work in list(self.works) if work.patience]
            time.sleep(min([LOOK_SECONDS, *(seconds / 4 for seconds in patiences)]))
            for work in list(self.works):
                if work.is_frozen:
                    self._end_frozen(work)

    def _end_frozen(self, work: EngineWork) -> None:
        work.interrupt(FrozenError)
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            if work not in self.works:
                return
        minutes = (work.patience or 0) / 60
        reason = f"a frozen engine: no token for {minutes:g} min (SDG_STALLED_MINUTES)"
        self._exit(self.last_words or (lambda _: True), reason, TEMPORARY_FAILURE)

    def _exit(self, words: Callable[[str], bool], reason: str, status: int) -> None:
        """Ends the process unless its run is over.

        Args:
            words: Writes the reason to the event log; returns False if the run is over.
            reason: What ends the process.
            status: The exit status.
        """
        answers: list[bool] = []

        def speak() -> None:
            try:
                answers.append(words(reason))
            except Exception as error:  # noqa: BLE001 – the process ends; nobody could handle it
                _write(f"the event log was not written: {type(error).__name__}: {error}\n")

        speaker = threading.Thread(target=speak, daemon=True)
        speaker.start()
        speaker.join(LAST_WORDS_SECONDS)
        if answers != [False]:
            _write(f"ended by {reason}\n")
            os._exit(status)


def _interrupt_waits() -> None:
    """Lets a signal end a wait of the main thread, whoever installed the last handler.

    On import, polars puts a handler of its own before Python's for SIGINT, with SA_RESTART: the
    kernel then resumes the wait, and the main thread of a run that waits for its teacher never
    reacts to Ctrl-C. Importing polars here makes it do so before the flag is cleared.
    """
    import polars  # noqa: F401

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.siginterrupt(number, True)


_watch = _Watch()


def listen() -> None:
    """Watches for SIGINT and SIGTERM from now on, besides their handlers; main thread only."""
    _watch.listen()


def received() -> signal.Signals | None:
    """The signal that told this process to end; None if none came."""
    # The watching thread is a moment behind the handler.
    if _watch.signal is None:
        time.sleep(0.05)
    return _watch.signal


def unwinding() -> None:
    """Records that the main thread has reacted to the signal and is ending its work."""
    _watch.is_unwinding = True
    # Waits for the watching thread to note the signal. Otherwise a process that ends at once exits
    # with status 0, as if no signal had come.
    received()
    gc.freeze()  # a full garbage collection takes up to 2 s


def prepare(last_words: Callable[[str], bool]) -> None:
    """Sets how the reason is recorded if this process has to be ended by force.

    It stays set until the next call: a process may also hang after its work.

    Args:
        last_words: Takes the reason and writes it to the event log. Returns False if the run is
            over, so that the process need not be ended.
    """
    listen()
    _watch.signal = None  # the signal that ended an earlier run of this process
    _watch.is_unwinding = False
    _watch.last_words = last_words


@contextmanager
def flushed(flush: Callable[[], None]) -> Iterator[None]:
    """Calls `flush` in a thread of its own as soon as a signal comes during the block."""
    _watch.flushes.add(flush)
    try:
        yield
    except BaseException:
        # From here on the main thread closes logs, which takes seconds on a busy disk.
        _watch.is_unwinding |= _watch.signal is not None
        raise
    finally:
        _watch.flushes.discard(flush)


@contextmanager
def engine_work(patience: float | None = None) -> Iterator[EngineWork]:
    """Runs an engine's code, which may swallow an interrupt, or freeze.

    Args:
        patience: Seconds without a token after which the engine counts as frozen; None: never.

    Raises:
        StoppedError: A signal came, and the engine did not stop.
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


def _main_thread_runs() -> bool:
    """Whether the main thread has not ended; Python then waits for threads, and exits."""
    return threading.main_thread().is_alive()


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(kind) if kind else None
    )


def _silently(flush: Callable[[], None]) -> None:
    """Calls `flush`; the owner of the log closes it later, and then reports its errors."""
    with suppress(Exception):
        flush()


def _write(text: str) -> None:
    """Writes to stderr without its lock, which the stuck main thread may hold."""
    with suppress(OSError):
        os.write(2, text.encode("utf-8", "replace"))


def _skip_teardown() -> None:
    """Ends a process that was told to end, before all other exit handlers (see above)."""
    if _watch.signal is None or time.monotonic() - _watch.signal_at > RECENT_SECONDS:
        return
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed, or none at all
            stream.flush()
    os._exit(128 + _watch.signal)
