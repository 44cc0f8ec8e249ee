"""Teachers that write and solve sums; one of them can hold requests unanswered."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sdg_assets_tests.support.teacher_server import TeacherServer, is_vote, teacher_server

SUM = re.compile(r"holds (\d+) books and (\d+) more")


class Sums(TeacherServer, ABC):
    """Writes questions about sums of two numbers, and solves them."""

    @abstractmethod
    def numbers(self, body: dict[str, Any]) -> tuple[int, int]:
        """The two numbers of the next question."""

    def write(self, body: dict[str, Any]) -> dict[str, Any]:
        """A question about books, and its solution."""
        a, b = self.numbers(body)
        question = f"A shelf holds {a} books and {b} more arrive. How many does it hold then?"
        solution = f"The shelf then holds {a} + {b} = {a + b} books."
        return {"question": question, "solution": solution, "answer": str(a + b)}

    def speak(self, body: dict[str, Any]) -> str:
        """The sum, or background on sums."""
        a, b = map(int, SUM.findall(body["messages"][-1]["content"])[-1])
        if is_vote(body):
            return f"The shelf then holds {a} + {b} = {a + b} books. Answer: {a + b}"
        return "Counts of things that come together are added. A sum of counts is a count again."


class ArithmeticTeacher(Sums):
    """Never writes the same question twice. `hold_after` limits how many requests it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.model = "scripted/arithmetic"
        self.received = 0
        """Number of requests for a completion."""
        self.admitted = 0
        """Number of requests that were answered or are about to be."""
        self._written = 0
        self._changed = threading.Condition()
        self._limit: int | None = None
        self._dropped = 0

    def hold_after(self, answers: int) -> None:
        """Answers this many more requests, and holds all later ones."""
        with self._changed:
            self._limit = self.admitted + answers

    @property
    def holds(self) -> bool:
        """Whether it holds further requests now."""
        with self._changed:
            return self._limit is not None and self.admitted >= self._limit

    def drop(self) -> None:
        """Drops the held requests, whose clients are dead, and answers new ones."""
        with self._changed:
            self._dropped += 1
            self.resume()

    def resume(self) -> None:
        """Answers the held requests and new ones."""
        with self._changed:
            self._limit = None
            self._changed.notify_all()

    def admits(self) -> bool:
        """Waits while the request is held; false if it was dropped meanwhile."""
        with self._changed:
            self.received += 1
            begun = self._dropped
            self._changed.wait_for(
                lambda: begun != self._dropped or self._limit is None or self.admitted < self._limit
            )
            self.admitted += begun == self._dropped
            return begun == self._dropped

    def release(self) -> None:
        """Drops the held requests."""
        super().release()
        self.drop()

    def numbers(self, body: dict[str, Any]) -> tuple[int, int]:
        """Two numbers that no earlier question used."""
        with self._changed:
            self._written += 1
            return 100 + self._written, 7 * self._written + 3


class SteadyTeacher(ArithmeticTeacher):
    """Writes sums that depend on the request alone, and can refuse requests with some words."""

    def __init__(self) -> None:
        super().__init__()
        self.refused_words = ""
        self.refusal_status = 402  # 400 would cost the row alone

    def admits(self) -> bool:
        """As an arithmetic teacher; its answers take time."""
        is_admitted = super().admits()
        self.over.wait(self.seconds)
        return is_admitted

    def numbers(self, body: dict[str, Any]) -> tuple[int, int]:
        """Two numbers that depend only on the request."""
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
        return 100 + digest[0] * 256 + digest[1], 100 + digest[2] * 256 + digest[3]

    def refuses(self, body: dict[str, Any]) -> bool:
        """Whether the request has the refused words."""
        return bool(self.refused_words) and self.refused_words in json.dumps(body)


@contextmanager
def arithmetic_teacher() -> Iterator[ArithmeticTeacher]:
    """Serves on a free port of this machine."""
    with teacher_server(ArithmeticTeacher()) as teacher:
        yield teacher
