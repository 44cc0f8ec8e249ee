"""Rates measured on this core, converted to the core for which the goals were set.

Machines differ by a third, and one machine differs by twice as much within minutes. So a fixed
piece of work that resembles the measured one is timed in turn with it, and both see the same
machine. Both times are CPU seconds of this process.

There are two kinds, because one core can be as fast as another at the one and slower at the other:
`SearchWork` resembles the contamination gate, `RowWork` what is done to rows. Nothing of the
package is imported, so changes of the package cannot change the fixed work.

The reference core is one of two in a virtual machine on an AMD EPYC (Zen 4).
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

_WORDS = 40_000
_STORED = 1 << 21
_ROWS = 300
REPETITIONS = 3
# Loops of the fixed work a repetition: it is as much a best of many as the reference seconds are.
_LOOPS = 4


class FixedWork(ABC):
    """Work that is the same in every run."""

    REFERENCE_SECONDS: ClassVar[float]
    """CPU seconds that it takes on the reference core."""

    @abstractmethod
    def once(self) -> int:
        """Does the work once; returns a number that depends on all of it."""

    def slowness(self) -> float:
        """The time of this core now, the best of a few, as a multiple of the reference core's."""
        return min(_seconds(self.once) for _ in range(_LOOPS)) / self.REFERENCE_SECONDS


class SearchWork(FixedWork):
    """Folds texts, removes their signs, hashes n-grams, sorts the hashes, looks them up."""

    # The median of six measurements, each the best of ten (0.0278 to 0.0287).
    REFERENCE_SECONDS = 0.0284

    def __init__(self) -> None:
        """Makes the texts and the stored hashes from a fixed seed."""
        chance = random.Random(5)
        words = _words(chance)
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


class RowWork(FixedWork):
    """Reads rows, searches and compares their texts, hashes them: plain Python on small objects."""

    # The reference core timed not this work but commit d7af091 of this project: its fill took 1.22
    # ms a completion for the writer and 0.76 ms for the solver. With these seconds, three runs of
    # that commit on a core that was 1.3 to 2.2 times as slow convert to 1.28, 1.28, 1.21 and 0.80,
    # 0.76, 0.76 ms.
    REFERENCE_SECONDS = 0.0136

    def __init__(self) -> None:
        """Makes the rows from a fixed seed."""
        chance = random.Random(5)
        words = _words(chance)

        def prose(count: int) -> str:
            return " ".join(chance.choice(words) for _ in range(count))

        rows = [
            {
                "id": str(number),
                "question": f"{prose(40)}?",
                "choices": [chance.choice(words) for _ in range(4)],
                "reasoning": ". ".join(prose(9) for _ in range(4)) + ".",
                "answer": chance.choice(words),
            }
            for number in range(_ROWS)
        ]
        self._lines = [json.dumps(row) for row in rows]
        self._sign = re.compile(r"[.?!](?!\d)")
        self._word = re.compile(r"\w+")
        self._mark = re.compile(r"\b(?:answer|option|choice)s?\s+(?:is|are)\b", re.IGNORECASE)

    def once(self) -> int:
        """Does the work once; returns a number that depends on all of it."""
        total = 0
        for line in self._lines:
            row = json.loads(line)
            asked = self._word.findall(self._sign.sub("", row["question"].casefold()))
            said = self._word.findall(row["reasoning"].casefold())
            pairs = {(first, second) for first, second in pairwise(asked)}
            total += sum((first, second) in pairs for first, second in pairwise(said))
            total += sum(choice in said for choice in row["choices"])
            total += self._mark.search(row["reasoning"]) is not None
            kept = {name: value for name, value in row.items() if name != "answer"}
            digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
            total += len(" ".join(sorted(set(asked)))) + len(digest)
        return total


@dataclass
class Rate:
    """Rows per second of one core, measured and converted to the reference core."""

    reference: FixedWork = field(default_factory=SearchWork)
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


def _words(chance: random.Random) -> list[str]:
    letters = "etaoinshrdlucmfwypvbgk"
    return [
        "".join(chance.choice(letters) for _ in range(chance.randint(2, 9))) for _ in range(2_000)
    ]


def _seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
