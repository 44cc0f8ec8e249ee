"""Simulates the work of one stage on one replica of a teacher, event by event.

A replica has a number of slots. A row takes a slot until its last answer is there; then the next
row takes it. A failure ends the rows under way: the replica starts and loads again, and asks again
for what was not answered. Where there are more rows than the events need, all but the last are
taken together: while every slot is taken, only the sum of their seconds counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heapreplace

import numpy as np

ROWS_A_SLOT = 2
"""So many rows of each slot are simulated one by one, the last ones."""
LEAST_ROWS = 64
"""As many rows of a replica, at least, are simulated one by one."""


@dataclass(frozen=True)
class Pace:
    """How one replica works.

    Attributes:
        slots: Rows under way at a time.
        row_seconds: Mean seconds from a row's first request to its last answer.
        links: Answers of a row that wait for each other; a failure costs at most one of them.
        spread: Standard deviation of a row's seconds, as a share of their mean.
        load_seconds: From the start of its process to its first request.
        restart_seconds: From a failure to the start of the next process.
    """

    slots: int
    row_seconds: float
    links: int = 1
    spread: float = 0.0
    load_seconds: float = 0.0
    restart_seconds: float = 0.0


def events_of(rows: int, slots: int) -> int:
    """How many of a replica's rows are simulated one by one."""
    return min(rows, max(LEAST_ROWS, ROWS_A_SLOT * slots))


def simulate(
    rows: int, pace: Pace, failures: Iterator[float], random: np.random.Generator
) -> float:
    """Seconds from the start of a replica to its last answer.

    Args:
        rows: The rows of its share; without any, it does not start.
        pace: How it works.
        failures: The seconds at which it fails, in ascending order.
        random: Draws the rows' seconds.
    """
    if not rows:
        return 0.0
    single = events_of(rows, pace.slots)
    clock = _Clock(pace, failures)
    if together := rows - single:
        noise = math.sqrt(together) * pace.spread * random.standard_normal()
        clock.work(pace.row_seconds * max(0.0, together + noise))
    # While every slot is taken, slots become free one after the other, not all at once.
    offsets = random.random(pace.slots) - 0.5 if together else np.zeros(pace.slots)
    return clock.finish(_row_seconds(single, pace, random), offsets * pace.row_seconds)


class _Clock:
    """The time of a replica, which failures set back."""

    def __init__(self, pace: Pace, failures: Iterator[float]) -> None:
        self._pace, self._failures = pace, failures
        self._link = pace.row_seconds / pace.links
        self._failure = next(failures, math.inf)
        self._now = 0.0
        self._load(0.0)

    def work(self, seconds: float) -> None:
        """Spends the seconds of many rows in all slots, each of which is always taken."""
        slots = self._pace.slots
        while self._failure < self._now + seconds / slots:
            # On average, the answers under way are half written.
            seconds += slots * (self._link / 2 - (self._failure - self._now))
            self._fail()
        self._now += seconds / slots

    def finish(self, rows: list[float], offsets: np.ndarray) -> float:
        """Works on the last rows.

        Args:
            rows: The seconds of each.
            offsets: When each slot becomes free, from now on; may be negative.

        Returns:
            The time of the last answer.
        """
        free = [max(0.0, self._now + offset) for offset in offsets.tolist()]
        while True:
            heapify(free)
            last = self._now
            for number, seconds in enumerate(rows):
                if free[0] >= self._failure:
                    rows = rows[number:]
                    break
                last = max(last, free[0] + seconds)
                heapreplace(free, free[0] + seconds)
            else:
                rows = []
            if not rows and last <= self._failure:
                return last
            # The rows under way come first; answers that are there are kept.
            left = (math.ceil((end - self._failure) / self._link) for end in free)
            rows = [links * self._link for links in left if links > 0] + rows
            self._fail()
            free = [self._now] * self._pace.slots

    def _fail(self) -> None:
        at, self._failure = self._failure, next(self._failures, math.inf)
        self._load(at + self._pace.restart_seconds)

    def _load(self, started: float) -> None:
        """Loads; a failure meanwhile begins it anew, and none hits a process that is not there."""
        self._now = started + self._pace.load_seconds
        while self._failure < self._now:
            if self._failure >= started:
                started = self._failure + self._pace.restart_seconds
                self._now = started + self._pace.load_seconds
            self._failure = next(self._failures, math.inf)


def _row_seconds(count: int, pace: Pace, random: np.random.Generator) -> list[float]:
    """Seconds of rows: lengths of answers have a lognormal distribution, roughly."""
    if not pace.spread:
        return [pace.row_seconds] * count
    variance = math.log1p(pace.spread**2)
    drawn = random.lognormal(-variance / 2, math.sqrt(variance), count)
    return (drawn * pace.row_seconds).tolist()  # type: ignore[no-any-return]
