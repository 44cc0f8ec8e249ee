"""Requests to a teacher and its completions. Both are values: equal content has an equal id."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, field_validator

from sdg_assets.errors import TransientError
from sdg_assets.records import Role, TeacherClass, TeacherStamp, VerifierFamily, content_id
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.thinking import RecommendedSampling, Thinking, thought_budget


class Sampling(BaseModel):
    """How tokens are sampled. Part of a request's identity, without `max_tokens`: see `Limits`.

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


class Limits(BaseModel):
    """How long a request's prompt and output may be; no part of its identity.

    An answer that ended by itself is the same with larger limits, so raising one must not throw
    away what is paid for: only what a limit ended is asked again (see `Completion.outgrown_by`).
    """

    model_config = ConfigDict(frozen=True)

    output: int
    """Most tokens of thought and answer together."""
    context: int | None = None
    """Most tokens of prompt and output together; None: nobody states it."""

    @property
    def room(self) -> int | None:
        """Most tokens of a prompt; None: unknown."""
        return None if self.context is None else self.context - self.output


class Message(BaseModel):
    """One turn of a conversation, which the chat template renders."""

    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


class Template(Protocol):
    """What a request's messages are rendered from; see `teacher.prompts.Prompt`."""

    @property
    def version(self) -> str:
        """Changes whenever the rendered text may change."""
        ...

    def render(self, **values: Any) -> tuple[Message, ...]:  # noqa: ANN401 – template variables
        """The conversation for these values."""
        ...


@dataclass(frozen=True)
class Request:
    """One prompt for one role. By its `id` a restarted run finds the completion in the log.

    The id depends on the values that go into the prompt, not on the rendered text. So whoever reads
    completions from a log never renders or tokenizes a prompt. It does not depend on `limits`.
    """

    id: str
    role: Role
    prompt_version: str
    sampling: Sampling
    limits: Limits
    json_schema: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    _render: Callable[[], tuple[Message, ...]] = field(default=tuple, repr=False, compare=False)

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The conversation, rendered at the first use."""
        return self._render()


FinishReason = Literal["stop", "length", "thinking", "content_filter", "too_long", "refused"]
"""How an answer ended: complete, cut off at its token limit, cut off while the model was still
thinking, blanked by a server's filter, never begun because the prompt is too long, or refused by
the server with an error that other requests do not meet."""
FAULTS: Mapping[FinishReason, str] = {
    "length": "truncated",
    "thinking": "truncated while thinking",
    "content_filter": "filtered by the server",
    "too_long": "too long",
    "refused": "refused by the server",
}
"""Each finish reason of an answer that cannot be used, and the reason of a row's rejection. A vote
may have each of these faults, so `records.VoteFault` has them too."""
UNANSWERED: frozenset[FinishReason] = frozenset({"too_long", "refused"})
"""Finish reasons of requests to which there is no answer, not even the beginning of one."""
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
ENDED_BY_LIMIT = frozenset[FinishReason]({"length", "thinking", "too_long"})
"""Finish reasons of answers that larger limits may change."""


def finish_reason(reported: str | None, teacher: str) -> FinishReason:
    """Translates a reported finish reason into one of `FinishReason`.

    Args:
        reported: The reason that vLLM or a server reports.
        teacher: The teacher's name, for errors.

    Returns:
        `refused` for all other reasons: the answer is not text, but for example a tool call.

    Raises:
        TransientError: The answer was cut off: aborted, failed, or not finished.
    """
    if reported is None or reported in CUT_OFF:
        reason = "null" if reported is None else repr(reported)
        raise TransientError(
            f"teacher {teacher}: an answer ended with finish_reason {reason}, so it is not whole; "
            "ask again"
        )
    return _FINISH_REASONS.get(reported, "refused")


class Completion(BaseModel):
    """A teacher's raw answer to a request: one line of the completion log."""

    model_config = ConfigDict(frozen=True)

    request_id: str
    text: str
    """The answer, without the thought."""
    reasoning: str = ""
    """The thought; empty if the model did not think."""
    finish_reason: FinishReason
    limits: Limits | None = None
    """The limits that it was asked with; None: its teacher does not say."""
    attempt: int = 1
    """How often the request has been answered; the completion log counts."""
    refusal: str = ""
    """The server's words, if it refused the request."""
    prompt_tokens: int
    output_tokens: int
    """Thought and answer together."""
    reasoning_tokens: int = 0
    """Tokens of the thought; part of `output_tokens`."""
    cached_tokens: int = 0
    seconds: float = 0.0
    gpu_seconds: float | None = None
    """Its share of the time of the teacher's GPUs: see `teacher.clock`. None: unknown."""

    @field_validator("text", "reasoning", "refusal", mode="before")
    @classmethod
    def _without_lone_surrogates(cls, text: Any) -> Any:  # noqa: ANN401 – not validated yet
        return without_lone_surrogates(text) if isinstance(text, str) else text

    def replaces(self, other: Completion) -> bool:
        """Whether it takes the place of another completion of the same request.

        The later one does, but an answer that ended by itself stays. The order of a log's segments
        is not the order in time, so `attempt` decides.
        """
        return self._rank > other._rank

    @property
    def _rank(self) -> tuple[bool, int]:
        return self.finish_reason not in ENDED_BY_LIMIT, self.attempt

    def outgrown_by(self, limits: Limits) -> bool:
        """Whether the limit that ended it is larger in `limits`, so that it may be asked again.

        Of a refusal by a server nobody knows how long the prompt was: the room for a prompt counts.
        """
        if self.finish_reason not in ENDED_BY_LIMIT or self.limits is None:
            return False
        if self.finish_reason == "too_long":
            return _has_grown(self.limits.room, limits.room)
        if limits.output > self.limits.output:
            return True
        # An output shorter than its limit was ended by the context, as llama.cpp does.
        is_full = self.output_tokens >= self.limits.output
        return not is_full and _has_grown(self.limits.context, limits.context)


def _has_grown(then: int | None, now: int | None) -> bool:
    """Whether a limit is larger now; one that was unknown counts as smaller than any."""
    return now is not None and (then is None or now > then)


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
    teacher_class: TeacherClass = "small"
    """How its prompts are worded, and how long its answers may be. Not part of the fingerprint: a
    prompt's version and a request's sampling hold its effects."""
    thinking: Thinking | None = None
    """How it thinks, as its card says; None: it does not."""
    sampling: RecommendedSampling = field(default_factory=RecommendedSampling)
    """What its makers recommend. Requests hold the values, so they are no part of the identity."""
    verifier: VerifierFamily | None = None
    """The family of an answer-equivalence model; None for every other model. The prompt's version
    depends on it."""
    max_model_len: int | None = None
    """Most tokens of prompt and output together, as card, settings or server state it. No part of
    the fingerprint: see `Limits`."""

    @cached_property
    def fingerprint(self) -> str:
        """Hash of model, revision and numeric settings; a change starts a new log."""
        # A completion also depends on the prompt's switch. The thought's budget is a limit.
        budgets = {"max_tokens", "budgets"}
        thinking = [self.thinking.model_dump(mode="json", exclude=budgets)] if self.thinking else []
        return content_id(self.stamp.model, self.stamp.revision, self.settings, *thinking)[:12]

    @property
    def data_version(self) -> str:
        """The data version by which Dagster notices that the teacher changed, or its limits.

        With other limits a partition is stale, though only what a limit ended is asked again.
        """
        context = f"+context={self.max_model_len}" if self.max_model_len else ""
        thought = f"+thought={self.thinking.stated_budgets}" if self.thinking else ""
        return f"{self.stamp.model}@{self.stamp.revision}+{self.fingerprint}{context}{thought}"


class TeacherFacts(Protocol):
    """What must be known of a teacher to build its requests and to read its answers."""

    @property
    def identity(self) -> TeacherIdentity:
        """Which model this is, and how it is run."""
        ...

    @property
    def control_tokens(self) -> ControlTokens:
        """The known control tokens of its tokenizer."""
        ...


@dataclass(frozen=True)
class Facts:
    """What is known of a teacher, without the teacher: another process can have it."""

    identity: TeacherIdentity
    control_tokens: ControlTokens

    @classmethod
    def of(cls, teacher: TeacherFacts) -> Facts:
        """The facts of a teacher."""
        return cls(teacher.identity, teacher.control_tokens)


class Teacher(TeacherFacts, Protocol):
    """A model that completes requests as a stream: submit at any time, poll for finished ones."""

    max_model_len: int
    """Most tokens of prompt and output together."""

    @property
    def gpus(self) -> int | None:
        """GPUs that compute its answers; 0: a CPU does. None: unknown, as of a server."""
        ...

    @property
    def capacity(self) -> int:
        """Requests worth having under way now; it may change while the teacher works."""
        ...

    def submit(self, request: Request) -> None:
        """Hands a request to the teacher; returns at once.

        A request that does not fit into `max_model_len` is not sent. The next poll returns its
        completion, with the finish reason `too_long`.
        """
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


@runtime_checkable
class Queueing(Protocol):
    """A teacher that can tell how many requests it has not begun."""

    @property
    def waiting(self) -> int:
        """Requests handed to it that are neither computed nor answered."""
        ...


@runtime_checkable
class Ringing(Protocol):
    """A teacher that can be waited for together with others."""

    bell: threading.Event | None
    """Set while somebody waits for several teachers. The teacher rings it for each outcome. A poll
    that waits ends when it rings, perhaps with nothing: another teacher may have an answer."""
    needs_polling: bool
    """Whether it computes, or notices that it is frozen, only while somebody polls it."""


def too_long(request: Request, prompt_tokens: int) -> Completion:
    """The completion of a request that exceeds its teacher's context.

    Args:
        request: The request.
        prompt_tokens: Tokens of its prompt; 0 if only the server has counted them.
    """
    return Completion(
        request_id=request.id,
        text="",
        finish_reason="too_long",
        limits=request.limits,
        prompt_tokens=prompt_tokens,
        output_tokens=0,
    )


def refused(request: Request, words: str) -> Completion:
    """The completion of a request that its server refuses, though it answers others.

    Args:
        request: The request.
        words: The server's words.
    """
    return Completion(
        request_id=request.id,
        text="",
        finish_reason="refused",
        refusal=words,
        prompt_tokens=0,
        output_tokens=0,
    )


def output_limit(thinking: Thinking | None, sampling: Sampling) -> int:
    """Most tokens of an output: the answer's, and the budget of a thought.

    Args:
        thinking: How the model thinks; None: it does not.
        sampling: The request's thinking mode, and the longest answer.
    """
    return sampling.max_tokens + thought_budget(thinking, sampling.thinking)


def build_request(
    identity: TeacherIdentity,
    role: Role,
    prompt: Template,
    values: Mapping[str, Any],
    sampling: Sampling,
    json_schema: dict[str, Any] | None = None,
) -> Request:
    """Builds a request. Its id is a hash of teacher, role, prompt version, sampling and values.

    No limit of length is part of the id: see `Limits`.

    Args:
        identity: The teacher that answers.
        role: The role that it plays.
        prompt: The template.
        values: The template's variables: JSON values, or rows.
        sampling: How tokens are sampled.
        json_schema: The schema of the answer; None for free text.
    """
    inputs = {name: _plain(value) for name, value in values.items()}
    # Numbers and texts: `model_dump` would return the same, more slowly.
    sampled = {name: value for name, value in vars(sampling).items() if name != "max_tokens"}
    key = (identity.fingerprint, role, prompt.version, sampled, inputs, json_schema)
    return Request(
        content_id(*key),
        role,
        prompt.version,
        sampling,
        Limits(output=output_limit(identity.thinking, sampling), context=identity.max_model_len),
        json_schema,
        lambda: prompt.render(**values),
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 – any template variable
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
