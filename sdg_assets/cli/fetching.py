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
    log = logging.getLogger(_WEIGHTS)
    log.setLevel(logging.INFO)
    log.addHandler(_Notes())
    thread = threading.Thread(target=_fetch, args=[settings], name="fetch", daemon=True)
    thread.start()
    return thread


def wait_for(fetching: threading.Thread) -> None:
    """Waits until the weights are there; meanwhile imports vLLM, which takes some 15 seconds."""
    if fetching.is_alive():
        from sdg_assets.teacher.backends.engine import import_vllm

        import_vllm()
    fetching.join()


_WEIGHTS = "sdg_assets.teacher.weights"


def _fetch(settings: Settings) -> None:
    from sdg_assets.assets.desks import played
    from sdg_assets.records import Role
    from sdg_assets.teacher.backend import TeacherSpec
    from sdg_assets.teacher.backends import backend_of

    for spec in {TeacherSpec.of(settings, role): None for role in played(Role, settings)}:
        with suppress(SdgError):
            backend_of(spec).fetch(spec)


class _Notes(logging.Handler):
    """Shows a log on stderr, as the commands show their progress."""

    def emit(self, record: logging.LogRecord) -> None:
        terminal.note(self.format(record))
