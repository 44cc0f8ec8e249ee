"""What a teacher is asked, and what it answers. Both are values: equal content, equal id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, field_validator

from sdg_assets.errors import TeacherError, TransientError
from sdg_assets.records import Role, TeacherStamp, content_id
from sdg_assets.teacher.control_tokens import ControlTokens


class Sampling(BaseModel):
    """How tokens are drawn. Part of a request's identity.

    `sample` tells draws of one prompt apart. It is not an engine seed: per-request generators take
    vLLM off its fast sampler on a GPU, and crash chunked prefill on a CPU ("CPU Generator does not
    use offset", 0.32). What makes a rerun repeat itself is the completion log.
    """

    model_config = ConfigDict(frozen=True)

    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 512
    sample: int = 0


class Message(BaseModel):
    """A turn of the conversation that the chat template renders."""

    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


class Request(BaseModel):
    """One prompt for one role. `id` makes a finished one recognizable after any restart."""

    model_config = ConfigDict(frozen=True)

    id: str
    role: Role
    prompt_version: str
    messages: tuple[Message, ...]
    sampling: Sampling
    json_schema: dict[str, Any] | None = None


FinishReason = Literal["stop", "length", "content_filter"]
# The ends that servers report, in our words. Null means that the answer is not whole.
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
    """The finish reason of a completion, in our words.

    Args:
        reported: As vLLM or a server reports it.
        teacher: Named in the errors.

    Raises:
        TransientError: The answer was cut off: aborted, failed, or not finished. Its text is no
            completion.
        TeacherError: The answer is of another kind than text, such as a call of a tool.
    """
    if reported in CUT_OFF:
        shown = "null" if reported is None else repr(reported)
        raise TransientError(
            f"teacher {teacher}: an answer ended with finish_reason {shown}, so it is not whole; "
            "ask again"
        )
    if reported not in _FINISH_REASONS:
        raise TeacherError(
            f"teacher {teacher}: finish_reason {reported!r} is none of "
            f"{', '.join(_FINISH_REASONS)}; serve the model as a plain chat model, without tools"
        )
    return _FINISH_REASONS[reported]


class Completion(BaseModel):
    """A teacher's raw answer to a request, as the completion log keeps it."""

    model_config = ConfigDict(frozen=True)

    request_id: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    seconds: float = 0.0

    @field_validator("text", mode="before")
    @classmethod
    def _without_lone_surrogates(cls, text: Any) -> Any:  # noqa: ANN401 – not validated yet
        return without_lone_surrogates(text) if isinstance(text, str) else text


def without_lone_surrogates(text: str) -> str:
    """The text with U+FFFD for each half of a character, which no file can hold.

    A server may send half of an emoji as a JSON escape, for its tokens are bytes.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


@dataclass(frozen=True)
class FailedRequest:
    """A request that will not be answered, and why. Other requests are none the worse."""

    request_id: str
    error: Exception


@dataclass(frozen=True)
class TeacherIdentity:
    """What a completion depends on besides its request: the model and how it is run."""

    stamp: TeacherStamp
    settings: dict[str, Any] = field(default_factory=dict)
    can_judge: bool = True
    """Whether its card lets it judge; no completion depends on that."""

    @property
    def fingerprint(self) -> str:
        """Names the model, revision and numeric settings; a change starts a fresh log."""
        return content_id(self.stamp.model, self.stamp.revision, self.settings)[:12]

    @property
    def data_version(self) -> str:
        """What Dagster compares to see that the teacher changed."""
        return f"{self.stamp.model}@{self.stamp.revision}+{self.fingerprint}"


class Teacher(Protocol):
    """A model that completes requests as a stream: submit at any time, take what is finished."""

    identity: TeacherIdentity
    """Which model this is, and how it is run."""
    max_model_len: int
    """Tokens of prompt and output together that fit."""

    @property
    def control_tokens(self) -> ControlTokens:
        """What its tokenizer reads as control tokens, as far as that is known."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens of a conversation, chat template included."""
        ...

    def submit(self, request: Request) -> None:
        """Hands a request over; returns at once."""
        ...

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        """What became of requests; each is reported once.

        Args:
            wait: Whether to wait until a request is finished.

        Returns:
            Completions and failed requests; empty when nothing is under way, or when nothing is
            finished and `wait` is false.

        Raises:
            TeacherError: The teacher cannot work as configured.
            TransientError: It failed with everything under way, and a rerun may succeed.
        """
        ...


def fits(request: Request, teacher: Teacher) -> bool:
    """Whether prompt and longest answer fit into the teacher's context."""
    length = teacher.count_tokens(request.messages) + request.sampling.max_tokens
    return length <= teacher.max_model_len


def build_request(
    identity: TeacherIdentity,
    role: Role,
    prompt_version: str,
    messages: Sequence[Message],
    sampling: Sampling,
    json_schema: dict[str, Any] | None = None,
) -> Request:
    """A request with its id: a hash of teacher, role, prompt version, sampling and inputs."""
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
