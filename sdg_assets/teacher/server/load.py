"""How much a server has to do, and how much it can take now."""

from __future__ import annotations

import math

_MEMORY = 0.1
"""Weight of the newest answer in the mean time of an answer."""
_BACK_OFF = 0.7
"""Share of the requests under way that a server keeps after it said "too many" (HTTP 429)."""
_GROWTH = 0.05
"""Requests that a server gets back with each answer after that: 5 % a round."""


class Load:
    """The requests under way at a server, its speed, and its rests. Times are in seconds."""

    def __init__(self) -> None:
        """Begins idle and without a limit."""
        self.under_way = 0
        self.answers = 0
        """Number of completions that it has answered."""
        self.seconds: float | None = None
        """Mean time of an answer; None before the first."""
        self.rests_until = 0.0
        """Time until which it wants no requests, on the clock of its caller."""
        self.limit = math.inf
        """Most requests under way at a time. It falls when the server has too many."""
        self._growth = _GROWTH

    def answered(self, seconds: float) -> None:
        """Counts an answer that took this long."""
        self.answers += 1
        mean = seconds if self.seconds is None else self.seconds
        self.seconds = mean + _MEMORY * (seconds - mean)
        self.limit += self._growth

    def rest(self, now: float, seconds: float) -> None:
        """Keeps requests away from the server for a while, and sends it fewer afterwards."""
        if now >= self.rests_until:  # else one burst of refusals would count many times
            self.limit = max(1.0, _BACK_OFF * min(self.limit, self.under_way))
            self._growth = _GROWTH
        self.rests_until = max(self.rests_until, now + seconds)

    def begin_slowly(self) -> None:
        """Lets one request through, then two with each answer: the server was lost."""
        self.limit, self._growth = 1.0, 1.0

    def has_room(self, now: float) -> bool:
        """Whether the server may get a request now."""
        return now >= self.rests_until and self.under_way < self.limit

    def weight(self, typical: float) -> float:
        """The server's share of the requests: the faster it answers, the more.

        Args:
            typical: Mean time of an answer of a server that has not answered yet.
        """
        return 1.0 / max(self.seconds if self.seconds is not None else typical, 1e-3)
