"""Divides the time of a teacher among its requests.

Of a second in which a teacher has n requests under way, each gets 1/n. So the shares of all
requests add up to the time in which it had work.
"""

from __future__ import annotations

import time


class Clock:
    """Divides the time of one teacher among its requests under way."""

    def __init__(self) -> None:
        """Starts without requests."""
        self.under_way = 0
        """Requests that have begun and not ended."""
        self._at = 0.0
        self._each = 0.0
        """Seconds of a request that was under way from the beginning."""

    def begin(self) -> float:
        """A request begins. Returns the number to end it with."""
        self._go_on()
        self.under_way += 1
        return self._each

    def end(self, began: float) -> float:
        """A request ends. Returns its share of the teacher's time, in seconds."""
        self._go_on()
        self.under_way -= 1
        return self._each - began

    def _go_on(self) -> None:
        now = time.monotonic()
        if self.under_way:
            self._each += (now - self._at) / self.under_way
        self._at = now
