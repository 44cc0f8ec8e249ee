"""Teachers that write and solve sums; one of them can be held in mid-answer."""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

SUM = re.compile(r"holds (\d+) books and (\d+) more")


class Sums(TeacherServer, ABC):
    """Asks for the sum of two numbers, and solves what it asks."""

    @abstractmethod
    def numbers(self, body: dict[str, Any]) -> tuple[int, int]:
        """The numbers that the writer takes for a request."""

    def write(self, body: dict[str, Any]) -> dict[str, Any]:
        """A question on books and its solution."""
        a, b = self.numbers(body)
        question = f"A shelf holds {a} books and {b} more arrive. How many does it hold then?"
        solution = f"The shelf then holds {a} + {b} = {a + b} books."
        return {"question": question, "solution": solution, "answer": str(a + b)}

    def speak(self, body: dict[str, Any]) -> str:
        """The sum, or what is to be known of sums."""
        a, b = map(int, SUM.findall(body["messages"][-1]["content"])[-1])
        if "Answer:" in body["messages"][0]["content"]:
            return f"The shelf then holds {a} + {b} = {a + b} books. Answer: {a + b}"
        return "Counts of things that come together are added. A sum of counts is a count again."


class ArithmeticTeacher(Sums):
    """Never asks the same twice, and answers only as many requests as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.model = "scripted/arithmetic"
        self.received = 0
        """Requests for a completion."""
        self.admitted = 0
        """Those that were answered, or are about to be."""
        self._written = 0
        self._changed = threading.Condition()
        self._limit: int | None = None
        self._dropped = 0

    def hold_after(self, answers: int) -> None:
        """Answers so many requests more, then none."""
        with self._changed:
            self._limit = self.admitted + answers

    @property
    def holds(self) -> bool:
        """Whether it has come to that."""
        with self._changed:
            return self._limit is not None and self.admitted >= self._limit

    def drop(self) -> None:
        """Forgets whom it held, for they are dead, and answers whoever comes."""
        with self._changed:
            self._dropped += 1
            self.resume()

    def resume(self) -> None:
        """Answers those it held, and whoever comes."""
        with self._changed:
            self._limit = None
            self._changed.notify_all()

    def admits(self) -> bool:
        """Waits while it holds; false if it dropped the request meanwhile."""
        with self._changed:
            self.received += 1
            begun = self._dropped
            self._changed.wait_for(
                lambda: begun != self._dropped or self._limit is None or self.admitted < self._limit
            )
            self.admitted += begun == self._dropped
            return begun == self._dropped

    def release(self) -> None:
        """Drops whom it held."""
        super().release()
        self.drop()

    def numbers(self, body: dict[str, Any]) -> tuple[int, int]:
        """Two that no earlier question had."""
        with self._changed:
            self._written += 1
            return 100 + self._written, 7 * self._written + 3


@contextmanager
def arithmetic_teacher() -> Iterator[ArithmeticTeacher]:
    """Serves on a free port of this machine."""
    with teacher_server(ArithmeticTeacher()) as teacher:
        yield teacher
