"""What logs on a volume and in a bucket have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

FOLDER = ".logs"
"""Below the store. No seed task has such a name."""


class WithoutTicks:
    """Keeps no logs of sensors and schedules.

    Dagster makes a file for each tick, also for one that logs nothing: 8,640 a day for three
    sensors, which nobody deletes.
    """

    @contextmanager
    def open_log_stream(self, log_key: Sequence[str], io_type: object) -> Iterator[None]:
        """Opens nothing: then the tick logs to the output of its process alone."""
        yield
