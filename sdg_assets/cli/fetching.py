"""Fetches the teachers' weights while the stages before them run.

The embedded teacher's 1.1 GB are downloaded and converted by other processes, which takes a minute:
longer than the first stages of a first run.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from sdg_assets.cli import terminal
from sdg_assets.errors import SdgError

if TYPE_CHECKING:
    from sdg_assets.settings import Settings


def fetch_meanwhile(settings: Settings) -> threading.Thread:
    """Begins to fetch the weights of all teachers that run here, and notes each step.

    Args:
        settings: Name the teachers.

    Returns:
        The thread, for `wait_for`. A failure passes in silence: whoever opens the teacher meets it
        again.
    """
    show_steps()
    thread = threading.Thread(target=_fetch, args=[settings], name="fetch", daemon=True)
    thread.start()
    return thread


def wait_for(fetching: threading.Thread) -> None:
    """Waits until the weights are there; meanwhile imports vLLM, which takes some 15 seconds."""
    if fetching.is_alive():
        from sdg_assets.teacher.backends.engine import import_vllm

        import_vllm()
    fetching.join()


def show_steps() -> None:
    """Shows on stderr each step by which weights are fetched, as the commands show progress."""
    for name in ("weights", "models"):
        log = logging.getLogger(f"sdg_assets.teacher.{name}")
        log.setLevel(logging.INFO)
        log.handlers = [_Notes()]


def _fetch(settings: Settings) -> None:
    from sdg_assets.assets.desks import played
    from sdg_assets.records import Role
    from sdg_assets.teacher.backend import TeacherSpec
    from sdg_assets.teacher.backends import backend_of

    for spec in {TeacherSpec.of(settings, role): None for role in played(Role, settings)}:
        with suppress(SdgError):
            backend_of(spec).fetch(spec)


class _Notes(logging.Handler):
    """Prints each line of a log as a note."""

    def emit(self, record: logging.LogRecord) -> None:
        terminal.note(self.format(record))
