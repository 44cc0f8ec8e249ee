"""Requests to a teacher and its completions. Both are values: equal content has an equal id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, field_validator

from sdg_assets.errors import TeacherError, TransientError
from sdg_assets.records import Role, TeacherStamp, content_id
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.thinking import RecommendedSampling, Thinking, thinks


class Sampling(BaseModel):
    """How tokens are sampled. Part of a request's identity.

    `sample` numbers several samples of one prompt. It is not an engine seed: a generator per
    request makes vLLM leave its fast sampler on a GPU, and crashes chunked prefill on a CPU ("CPU
    Generator does not use offset", 0.32). The completion log makes reruns repeatable instead.
    """

    model_config = ConfigDict(frozen=True)

    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 512
    """Longest answer. A thought has a budget of its own: the card's, which the backend adds."""
    top_k: int = 0
    """Number of likeliest tokens to sample from; 0: all."""
    min_p: float = 0.0
    """Least probability of a token, as a share of the likeliest token's."""
    thinking: str = ""
    """Empty: the model's default; `on`, `off`, or an effort such as `low`."""
    sample: int = 0


class Message(BaseModel):
    """One turn of a conversation, which the chat template renders."""

    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


class Request(BaseModel):
    """One prompt for one role. By its `id` a restarted run finds the completion in the log."""

    model_config = ConfigDict(frozen=True)

    id: str
    role: Role
    prompt_version: str
    messages: tuple[Message, ...]
    sampling: Sampling
    json_schema: dict[str, Any] | None = None


FinishReason = Literal["stop", "length", "thinking", "content_filter", "too_long"]
"""How an answer ended: complete, cut off at its token limit, cut off while the model was still
thinking, refused by a server's filter, or never begun because the prompt is too long."""
# Finish reasons of servers → ours. A reason of `CUT_OFF` means that the answer is incomplete.
_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
CUT_OFF = frozenset({None, "abort", "error"})


def finish_reason(reported: str | None, teacher: str) -> FinishReason:
    """Translates a reported finish reason into one of `FinishReason`.

    Args:
        reported: The reason that vLLM or a server reports.
        teacher: The teacher's name, for errors.

    Raises:
        TransientError: The answer was cut off: aborted, failed, or not finished.
        TeacherError: The answer is not text, but for example a tool call.
    """
    if reported in CUT_OFF:
        reason = "null" if reported is None else repr(reported)
        raise TransientError(
            f"teacher {teacher}: an answer ended with finish_reason {reason}, so it is not whole; "
            "ask again"
        )
    if reported not in _FINISH_REASONS:
        raise TeacherError(
            f"teacher {teacher}: finish_reason {reported!r} is none of "
            f"{', '.join(_FINISH_REASONS)}; serve the model as a plain chat model, without tools"
        )
    return _FINISH_REASONS[reported]


class Completion(BaseModel):
    """A teacher's raw answer to a request: one line of the completion log."""

    model_config = ConfigDict(frozen=True)

    request_id: str
    text: str
    """The answer, without the thought."""
    reasoning: str = ""
    """The thought; empty if the model did not think."""
    finish_reason: FinishReason
    prompt_tokens: int
    output_tokens: int
    """Thought and answer together."""
    reasoning_tokens: int = 0
    """Tokens of the thought; part of `output_tokens`."""
    cached_tokens: int = 0
    seconds: float = 0.0

    @field_validator("text", "reasoning", mode="before")
    @classmethod
    def _without_lone_surrogates(cls, text: Any) -> Any:  # noqa: ANN401 – not validated yet
        return without_lone_surrogates(text) if isinstance(text, str) else text


def too_long(request_id: str, prompt_tokens: int) -> Completion:
    """The outcome of a request whose prompt and answer exceed the teacher's context.

    Args:
        request_id: The request, which was not sent.
        prompt_tokens: Tokens of its prompt; 0 if unknown.
    """
    return Completion(
        request_id=request_id,
        text="",
        finish_reason="too_long",
        prompt_tokens=prompt_tokens,
        output_tokens=0,
    )


def without_lone_surrogates(text: str) -> str:
    """Replaces each lone surrogate (half of a character) by U+FFFD: UTF-8 cannot encode it.

    A server whose tokens are bytes may send half of an emoji as a JSON escape.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


@dataclass(frozen=True)
class FailedRequest:
    """A request that will not be answered, and why. It does not affect other requests."""

    request_id: str
    error: Exception


@dataclass(frozen=True)
class TeacherIdentity:
    """The inputs of a completion besides its request: the model and how it is run."""

    stamp: TeacherStamp
    settings: dict[str, Any] = field(default_factory=dict)
    can_judge: bool = True
    """Whether its card allows it as judge; completions do not depend on this."""
    thinking: Thinking | None = None
    """How it thinks, as its card says; None: it does not."""
    sampling: RecommendedSampling = field(default_factory=RecommendedSampling)
    """What its makers recommend. Requests hold the values, so they are no part of the identity."""

    @property
    def fingerprint(self) -> str:
        """Hash of model, revision and numeric settings; a change starts a new log."""
        # A completion also depends on the prompt's switch and on the budget of the thought.
        thinking = [self.thinking.model_dump(mode="json")] if self.thinking else []
        return content_id(self.stamp.model, self.stamp.revision, self.settings, *thinking)[:12]

    @property
    def data_version(self) -> str:
        """The data version by which Dagster notices that the teacher changed."""
        return f"{self.stamp.model}@{self.stamp.revision}+{self.fingerprint}"


class Teacher(Protocol):
    """A model that completes requests as a stream: submit at any time, poll for finished ones."""

    identity: TeacherIdentity
    """Which model this is, and how it is run."""
    max_model_len: int
    """Most tokens of prompt and output together."""

    @property
    def control_tokens(self) -> ControlTokens:
        """The known control tokens of its tokenizer."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Number of prompt tokens of a conversation, chat template included."""
        ...

    def submit(self, request: Request) -> None:
        """Hands a request to the teacher; returns at once."""
        ...

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        """Takes the outcomes of finished requests; each is returned once.

        Args:
            wait: Whether to wait until at least one request is finished.

        Returns:
            Completions and failed requests. Empty if no request is under way, or if none is
            finished and `wait` is false.

        Raises:
            TeacherError: The teacher cannot work as configured.
            TransientError: It failed with all requests under way, and a rerun may succeed.
        """
        ...


def output_limit(thinking: Thinking | None, sampling: Sampling) -> int:
    """Most tokens of an output: the answer's, and the budget of a thought.

    Args:
        thinking: How the model thinks; None: it does not.
        sampling: The request's thinking mode, and the longest answer.
    """
    if thinking is None or not thinks(thinking, sampling.thinking):
        return sampling.max_tokens
    return sampling.max_tokens + thinking.max_tokens


def fits(request: Request, teacher: Teacher) -> bool:
    """Whether the prompt, the thought's budget and the answer fit into the teacher's context."""
    limit = output_limit(teacher.identity.thinking, request.sampling)
    length = teacher.count_tokens(request.messages) + limit
    return length <= teacher.max_model_len


def build_request(
    identity: TeacherIdentity,
    role: Role,
    prompt_version: str,
    messages: Sequence[Message],
    sampling: Sampling,
    json_schema: dict[str, Any] | None = None,
) -> Request:
    """Builds a request. Its id is a hash of teacher, role, prompt version, sampling and inputs."""
    inputs = [m.model_dump() for m in messages]
    return Request(
        id=content_id(
            identity.fingerprint, role, prompt_version, sampling.model_dump(), inputs, json_schema
        ),
        role=role,
        prompt_version=prompt_version,
        messages=tuple(messages),
        sampling=sampling,
        json_schema=json_schema,
    )
