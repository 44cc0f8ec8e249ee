"""A rate measured on this core, converted to the core for which the goal was set.

Machines differ by a third, and one machine differs as much from hour to hour. So a fixed piece of
work that resembles the contamination gate's (fold texts, remove their signs, hash n-grams, sort the
hashes, look them up in a large array) is timed in turn with the measured work, and both see the
same machine. Both times are CPU seconds of this process, the best of several repetitions, because
disturbances only make a repetition slower.

Nothing of the gate is imported, so changes of the gate cannot change the fixed work.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# CPU seconds of the fixed work on the reference core, one of two in a virtual machine on an AMD
# EPYC (Zen 4): the median of six measurements, each the best of ten (0.0278 to 0.0287).
REFERENCE_SECONDS = 0.0284
_WORDS = 40_000
_STORED = 1 << 21
REPETITIONS = 3
# Loops of the fixed work a repetition: it is as much a best of many as REFERENCE_SECONDS is.
_LOOPS = 4


class ReferenceWork:
    """The fixed work: the same texts and the same stored hashes in every run."""

    def __init__(self) -> None:
        """Makes the texts and the hashes from a fixed seed."""
        chance = random.Random(5)
        letters = "etaoinshrdlucmfwypvbgk"
        words = [
            "".join(chance.choice(letters) for _ in range(chance.randint(2, 9)))
            for _ in range(2_000)
        ]
        prose = [chance.choice(words).capitalize() for _ in range(_WORDS)]
        self._texts = [" ".join(prose[at : at + 40]) + "." for at in range(0, _WORDS, 40)]
        numbers = np.random.default_rng(5).integers(0, 2**64, _STORED, dtype=np.uint64)
        self._stored = np.sort(numbers)
        self._sign = re.compile(r"\.(?!\d)")

    def once(self) -> int:
        """Does the work once; returns a number that depends on all of it."""
        folded = "\n".join(text.lower() for text in self._texts)
        plain = self._sign.sub("", folded).replace(" ", "").replace("the", "7")
        codes = np.frombuffer(plain.encode("ascii"), dtype=np.uint8).astype(np.uint64)
        hashes = codes[:-7].copy()
        for place in range(1, 8):
            hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + codes[place : len(codes) - 7 + place]
        order = np.argsort(hashes)
        places = np.searchsorted(self._stored, hashes[order])
        counts = np.bincount(places & 0xFFFF, minlength=1 << 16)
        shared = {text: len(text.split()) for text in self._texts}
        return int(counts.max()) + sum(shared.values())

    def slowness(self) -> float:
        """The time of this core now, the best of a few, as a multiple of the reference core's."""
        return min(_seconds(self.once) for _ in range(_LOOPS)) / REFERENCE_SECONDS


@dataclass
class Rate:
    """Rows per second of one core, measured and converted to the reference core."""

    reference: ReferenceWork = field(default_factory=ReferenceWork)
    rows: int = 0
    seconds: float = 0.0
    """CPU seconds of the best repetitions, summed over all measurements."""
    measurements: int = 0
    _slowness: float = 0.0
    """In the best repetitions of each measurement, summed."""

    def measure(self, rows: int, work: Callable[[], Any]) -> float:
        """Times a piece of work and the fixed work in turn, `REPETITIONS` times.

        Args:
            rows: The number of rows that the work processes.
            work: Can be called repeatedly.

        Returns:
            Rows per CPU second in the best repetition.
        """
        turns = [(_seconds(work), self.reference.slowness()) for _ in range(REPETITIONS)]
        seconds = min(own for own, _ in turns)
        self.rows += rows
        self.seconds += seconds
        self._slowness += min(fixed for _, fixed in turns)
        self.measurements += 1
        return rows / seconds

    @property
    def raw(self) -> float:
        """Rows per CPU second of this core."""
        return self.rows / self.seconds

    @property
    def slowness(self) -> float:
        """The time of this core for the fixed work, as a multiple of the reference core's."""
        return self._slowness / self.measurements

    @property
    def normalized(self) -> float:
        """Rows per CPU second of the reference core."""
        return self.raw * self.slowness


def _seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
