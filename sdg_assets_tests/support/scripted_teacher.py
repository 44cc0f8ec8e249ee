"""A teacher with scripted answers, for tests of the code around a teacher, not of its quality."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from sdg_assets.enrichment.judge import Ratings
from sdg_assets.errors import SdgError, TransientError
from sdg_assets.records import TeacherStamp
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    FinishReason,
    Message,
    Request,
    Teacher,
    TeacherIdentity,
    too_long,
)

STAMP = TeacherStamp(model="scripted/teacher", revision="r1", license="MIT")
Answer = Callable[[Request], str | Completion]


class ScriptedTeacher:
    """Answers by calling `answer`, a few requests per poll, and records all requests."""

    def __init__(
        self,
        answer: Answer,
        *,
        stamp: TeacherStamp = STAMP,
        max_model_len: int = 100_000,
        per_poll: int = 1,
        last_first: bool = False,
        fails_after: int | None = None,
        control_tokens: Iterable[str] = (),
        capacity: int = 64,
        gpus: int | None = None,
    ) -> None:
        """Takes the script.

        Args:
            answer: Request → text, or a whole completion; an `SdgError` fails the request.
            stamp: Who it says it is.
            max_model_len: Words of prompt and output together that fit.
            per_poll: Completions a poll.
            last_first: Whether the newest request is answered first.
            fails_after: Completions after which every poll raises.
            control_tokens: What its tokenizer would read as control tokens.
            capacity: Requests worth having under way.
            gpus: GPUs that it says it has.
        """
        self.identity = TeacherIdentity(stamp)
        self.max_model_len = max_model_len
        self.control_tokens = ControlTokens(control_tokens)
        self.capacity = capacity
        self.gpus = gpus
        self.requests: list[Request] = []
        self.most_at_once = 0
        self._answer = answer
        self._per_poll = per_poll
        self._last_first = last_first
        self._left = fails_after
        self._open: deque[Request] = deque()
        self._refused: list[Completion] = []

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(m.content.split()) for m in messages)

    def submit(self, request: Request) -> None:
        length = self.count_tokens(request.messages)
        if length + request.sampling.max_tokens > self.max_model_len:
            self._refused.append(too_long(request, length))
            return
        self.requests.append(request)
        self._open.append(request)
        self.most_at_once = max(self.most_at_once, len(self._open))

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        finished: list[Completion | FailedRequest] = [*self._refused]
        self._refused.clear()
        while wait and self._open and len(finished) < self._per_poll:
            if self._left == 0:
                raise TransientError("the engine died")
            request = self._open.pop() if self._last_first else self._open.popleft()
            finished.append(self._outcome(request))
            if self._left:
                self._left -= 1
        return finished

    def _outcome(self, request: Request) -> Completion | FailedRequest:
        try:
            answer = self._answer(request)
        except SdgError as error:
            return FailedRequest(request.id, error)
        return answer if isinstance(answer, Completion) else completion(request, answer)


def completion(
    request: Request, text: str, finish_reason: FinishReason = "stop", cached_tokens: int = 0
) -> Completion:
    """A completion of the request; each word counts as a token."""
    return Completion(
        request_id=request.id,
        text=text,
        finish_reason=finish_reason,
        limits=request.limits,
        prompt_tokens=sum(len(m.content.split()) for m in request.messages),
        output_tokens=len(text.split()),
        cached_tokens=cached_tokens,
        seconds=0.01,
    )


def ratings(rating: int = 5, comment: str = "Well made.", **changes: object) -> str:
    """The answer of a judge that gives each criterion the same rating."""
    criteria = [name for name in Ratings.model_fields if name != "comment"]
    return json.dumps({"comment": comment, **dict.fromkeys(criteria, rating), **changes})


_keeps_the_protocol: type[Teacher] = ScriptedTeacher
