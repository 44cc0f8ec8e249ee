"""Ties the processes that an engine starts to this one: none outlives it, and none fails silently.

If a step is killed (SIGKILL, out of memory), vLLM's engine process goes on waiting for requests and
holds the GPU's memory; vLLM has nothing against that. And if that process cannot start, vLLM
reports "see root cause above", which only the process's own log contains.

Each process started within `tied_to_this_process` therefore asks the kernel to be killed with its
parent, and notes its errors in a file that the parent reads. Its own children do the same.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
ERRORS_FILE = "SDG_ENGINE_ERRORS_FILE"


class ErrorsOfChildren:
    """The errors that the processes of one engine have logged."""

    def __init__(self, file: Path) -> None:
        """Reads from the file, which may be empty."""
        self._file = file

    def first(self) -> str | None:
        """The first error, as `ValueError: message`: the later ones follow from it."""
        lines = self._file.read_text("utf-8", "replace").splitlines() if self._file.exists() else []
        return lines[0] if lines else None


@contextmanager
def tied_to_this_process() -> Iterator[ErrorsOfChildren]:
    """Ties all processes that are started in the block with `multiprocessing`.

    The kernel kills a child when the *thread* that started it ends, so use a thread that lives as
    long as the engine.

    Yields:
        What the processes say went wrong.
    """
    with tempfile.TemporaryDirectory(prefix="sdg-engine-") as folder:
        file = Path(folder) / "errors"
        os.environ[ERRORS_FILE] = str(file)
        untied = BaseProcess.__init__
        _tie_new_processes()
        try:
            yield ErrorsOfChildren(file)
        finally:
            BaseProcess.__init__ = untied  # type: ignore[method-assign]
            del os.environ[ERRORS_FILE]


def _tie_new_processes() -> None:
    untied = BaseProcess.__init__

    def tied(
        self: BaseProcess,
        group: None = None,
        target: Callable[..., object] | None = None,
        *arguments: Any,  # noqa: ANN401 – as multiprocessing declares it
        **keywords: Any,  # noqa: ANN401
    ) -> None:
        tied_target = target and partial(run_tied, target)
        untied(self, group, tied_target, *arguments, **keywords)

    BaseProcess.__init__ = tied  # type: ignore[method-assign]


def run_tied(target: Callable[..., object], *arguments: Any, **keywords: Any) -> object:  # noqa: ANN401
    """Runs a child's target, after the child is tied to its parent."""
    parent = multiprocessing.parent_process()
    die_with_parent(parent.pid if parent else None)
    _tie_new_processes()
    file = os.environ.get(ERRORS_FILE)
    if file:
        logging.getLogger("vllm").addHandler(_NoteErrors(Path(file)))
    return target(*arguments, **keywords)


def die_with_parent(parent: int | None) -> None:
    """Has the kernel kill this process when its parent ends.

    Args:
        parent: The parent's process id, if known: it may have ended already.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and parent != os.getppid():
        os._exit(1)


class _NoteErrors(logging.Handler):
    """Appends each logged exception to a file, as one line."""

    def __init__(self, file: Path) -> None:
        super().__init__(logging.ERROR)
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not self._file.parent.exists():  # the engine has started long ago
            return
        line = " ".join(f"{type(error).__name__}: {error}".split())
        with self._file.open("a", encoding="utf-8") as out:
            out.write(f"{line}\n")
