"""Sends events to OpenLineage from a thread of its own. What fails there fails no step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import RunEvent

from sdg_assets.addresses import masked

FINISH_SECONDS = 10.0
"""How long a finished step waits for its events to be sent."""
ABORT_SECONDS = 1.0
"""The same for a step that is ended."""


class Emitter(threading.Thread):
    """Sends events in their order, with the client that OpenLineage's own variables configure."""

    def __init__(self) -> None:
        """Is not started yet."""
        super().__init__(name="lineage", daemon=True)
        self.failure = ""
        """Why an event was not sent; empty if all were."""
        self._events: queue.SimpleQueue[Callable[[], RunEvent] | None] = queue.SimpleQueue()

    def emit(self, build: Callable[[], RunEvent]) -> None:
        """Has an event built and sent; returns at once.

        Args:
            build: Builds the event. It may read the store.
        """
        self._events.put(build)

    def finish(self, seconds: float) -> None:
        """Returns when all events are sent, or after so many seconds."""
        self._events.put(None)
        self.join(seconds)
        if self.is_alive():
            self.failure = self.failure or f"not sent within {seconds:g} s"

    def run(self) -> None:
        """Sends until `finish` is called."""
        client: OpenLineageClient | None = None
        while build := self._events.get():
            try:
                client = client or OpenLineageClient()
                client.emit(build())
            except Exception as error:  # noqa: BLE001 – a step does not need its lineage
                self.failure = masked(f"{type(error).__name__}: {error}")
