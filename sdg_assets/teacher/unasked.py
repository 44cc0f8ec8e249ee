"""A teacher that must not be asked: all its answers are expected in the completion log."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from sdg_assets.errors import SdgError
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.requests import Completion, FailedRequest, Request, Teacher


class Unasked:
    """Another teacher's identity and limits, without its answers.

    A partition that other processes have filled is published with it. Without it, a pod without
    GPUs would load a model for one missing answer.
    """

    def __init__(self, teacher: Teacher, error: Callable[[], SdgError]) -> None:
        """Takes the facts of a teacher that is opened but not started.

        Args:
            teacher: The teacher.
            error: Says why an answer is missing, and what to do.
        """
        self.identity = teacher.identity
        self.max_model_len = teacher.max_model_len
        self._teacher = teacher
        self._error = error

    @property
    def control_tokens(self) -> ControlTokens:
        """The known control tokens of its tokenizer."""
        return self._teacher.control_tokens

    @property
    def gpus(self) -> int | None:
        """See `Teacher.gpus`."""
        return self._teacher.gpus

    @property
    def capacity(self) -> int:
        """See `Teacher.capacity`."""
        return self._teacher.capacity

    def submit(self, request: Request) -> NoReturn:
        """Raises the error: the log lacks an answer."""
        raise self._error()

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        """Nothing: no request is ever under way."""
        return []
