"""A rate measured on this core, and what it would be on the core that the goal was set on.

Machines differ by a third, and so does one machine from hour to hour. A fixed piece of work of the
same kind as the contamination gate's (fold texts, take out their signs, hash runs of characters,
sort the hashes, look them up in a large array) is timed in turn with what is measured, so that both
see the same machine. Both are CPU seconds of this process, the best of several repetitions: what
disturbs a repetition only makes it slower.

Nothing of the gate is imported: no change of the gate can move the fixed work.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# CPU seconds of the fixed work on the reference core, one of two of a virtual machine on an AMD
# EPYC (Zen 4): the median of six bests of ten (0.0278 to 0.0287).
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
        """Does the work; returns a number that depends on all of it."""
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


@dataclass
class Rate:
    """Rows a second of one core, as it is and as the reference core would have it."""

    reference: ReferenceWork = field(default_factory=ReferenceWork)
    rows: int = 0
    seconds: float = 0.0
    """CPU seconds of the best repetitions of all measurements."""
    reference_seconds: float = 0.0
    """CPU seconds of the fixed work, the best repetitions beside each measurement."""
    measurements: int = 0

    def measure(self, rows: int, work: Callable[[], Any]) -> float:
        """Times a piece of work and the fixed work in turn, `REPETITIONS` times.

        Args:
            rows: How many rows the work goes through.
            work: May be done any number of times.

        Returns:
            Rows a CPU second of the best repetition.
        """
        turns = [
            (_seconds(work), min(_seconds(self.reference.once) for _ in range(_LOOPS)))
            for _ in range(REPETITIONS)
        ]
        seconds = min(own for own, _ in turns)
        self.rows += rows
        self.seconds += seconds
        self.reference_seconds += min(fixed for _, fixed in turns)
        self.measurements += 1
        return rows / seconds

    @property
    def raw(self) -> float:
        """Rows a CPU second of this core."""
        return self.rows / self.seconds

    @property
    def slowness(self) -> float:
        """How many times as long as the reference core this core took for the fixed work."""
        return self.reference_seconds / self.measurements / REFERENCE_SECONDS

    @property
    def normalized(self) -> float:
        """Rows a CPU second of the reference core."""
        return self.raw * self.slowness


def _seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
