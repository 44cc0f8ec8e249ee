"""A server's answers, validated where they arrive: all other code gets the expected types."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, field_validator

from sdg_assets.teacher.requests import CUT_OFF, finish_reason, without_lone_surrogates
from sdg_assets.teacher.server.refusals import SHOWN, TooLongError, is_temporary, is_too_long

UNPROCESSABLE = 422
"""The HTTP status of a request that is well-formed, but cannot be answered."""


class OddReplyError(Exception):
    """An answer that breaks the protocol.

    `problem` describes the answer, `remedy` says what to do. If `temporary`, the request is sent
    again. `status` is the HTTP status that it stands for: 0 for none.
    """

    def __init__(
        self, problem: str, remedy: str, *, temporary: bool = False, status: int = 0
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.temporary = temporary
        self.status = status


class Reply(BaseModel):
    """A part of an answer; other fields are allowed and ignored."""

    def check(self) -> None:
        """Checks what field types cannot express.

        Raises:
            OddReplyError: The answer is not usable.
        """


class Anything(Reply):
    """An answer whose content does not matter."""


class ServedModel(Reply):
    """A model that the server lists."""

    id: str = Field(min_length=1)
    root: str | None = None
    parent: str | None = None
    """The base model of a LoRA adapter."""
    max_model_len: int | None = Field(default=None, ge=1)
    """The context's length in tokens, as vLLM, SGLang and NIM report it."""
    max_context_length: int | None = Field(default=None, ge=1)
    """Its name in LM Studio."""
    context_length: int | None = Field(default=None, ge=1)
    """Its name in gateways."""

    @property
    def length(self) -> int | None:
        """The context's length in tokens, if the server reports it."""
        return self.max_model_len or self.max_context_length or self.context_length


class ModelList(Reply):
    """The answer of `/v1/models`."""

    data: list[ServedModel] = Field(min_length=1)


class ContextSize(Reply):
    """The part of llama.cpp's settings that holds the context of one request."""

    n_ctx: int = Field(ge=1)


class Properties(Reply):
    """The answer of llama.cpp's `/props`."""

    default_generation_settings: ContextSize


class TokenCount(Reply):
    """The answer of `/tokenize`: vLLM and SGLang count the tokens, llama.cpp lists them."""

    count: int | None = Field(default=None, ge=0)
    tokens: list[Any] = Field(default_factory=list)
    token_strs: list[str] | None = None
    """The tokens as text, if the request asked for them."""


class PromptDetails(Reply):
    """Details of the prompt's tokens."""

    cached_tokens: int | None = None


class ReportedUsage(Reply):
    """The tokens that a request cost."""

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    prompt_tokens_details: PromptDetails | None = None

    @property
    def cached_tokens(self) -> int:
        """Number of prompt tokens found in the prefix cache."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0


class CompletionDetails(Reply):
    """Details of the output's tokens."""

    reasoning_tokens: int | None = None


class ChatUsage(ReportedUsage):
    """The tokens of a chat completion; a server that does not count them cannot be a teacher."""

    completion_tokens: int = Field(ge=0)
    completion_tokens_details: CompletionDetails | None = None

    @property
    def reasoning_tokens(self) -> int:
        """Number of tokens of the thought; 0 if the server does not count them."""
        details = self.completion_tokens_details
        return (details and details.reasoning_tokens) or 0


class ChatMessage(Reply):
    """The message of a choice."""

    content: str | None = None
    """The answer; null or left out if the model did not get beyond its thought, or said nothing."""
    reasoning: str | None = None
    """The thought, as vLLM names it."""
    reasoning_content: str | None = None
    """The thought, as older servers, SGLang and DeepSeek name it."""

    @property
    def thought(self) -> str | None:
        """The thought, under whichever name the server sent it."""
        return self.reasoning or self.reasoning_content

    @field_validator("content", "reasoning", "reasoning_content", mode="before")
    @classmethod
    def _without_lone_surrogates(cls, content: Any) -> Any:  # noqa: ANN401 – not validated yet
        return without_lone_surrogates(content) if isinstance(content, str) else content


class Choice(Reply):
    """One answer to a prompt."""

    message: ChatMessage
    finish_reason: str | None = None


class ChatReply(Reply):
    """The answer of `/v1/chat/completions`."""

    choices: list[Choice] = Field(min_length=1)
    usage: ChatUsage

    def check(self) -> None:
        """Refuses an answer that was cut off, as another attempt may be complete, or is no text."""
        reason = self.choices[0].finish_reason
        if reason in CUT_OFF:
            raise OddReplyError(
                f"answered with a finish_reason of {reason or 'null'}: the text is not whole",
                "look at the server's log",
                temporary=True,
            )
        if finish_reason(reason, "") == "refused":
            raise OddReplyError(
                f"ended an answer with finish_reason {reason!r}, so it is no text",
                "serve the model as a plain chat model, without tools",
                status=UNPROCESSABLE,
            )


class Probabilities(Reply):
    """One conversation's score for each label."""

    probs: list[FiniteFloat] = Field(min_length=1)


class Classification(Reply):
    """The answer of `/classify`."""

    data: list[Probabilities] = Field(min_length=1)
    usage: ReportedUsage | None = None


class PairScore(Reply):
    """One pair's score."""

    score: FiniteFloat


class Scoring(Reply):
    """The answer of `/score`."""

    data: list[PairScore] = Field(min_length=1)
    usage: ReportedUsage | None = None


ReplyT = TypeVar("ReplyT", bound=Reply)


def parsed(
    kind: type[ReplyT], data: bytes, discreet: Callable[[str], str] = lambda text: text
) -> ReplyT:
    """Parses the body of a successful answer.

    Args:
        kind: The expected type.
        data: The body, decompressed.
        discreet: Masks secrets in what an error quotes, before it is cut: half a key is a secret.

    Raises:
        OddReplyError: The body is not of this type, or reports an error.
        TooLongError: It reports that the request exceeds the model's context.
    """
    if kind is Anything:  # a health check may answer with an empty body, or anything else
        return kind()
    content = _json(data, discreet)
    if not isinstance(content, dict):
        raise OddReplyError(
            f"answered with a JSON {type(content).__name__}, not an object", _PROTOCOL
        )
    if content.get("error") or content.get("object") == "error":
        raise _error_in_disguise(content, discreet)
    try:
        reply = kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise OddReplyError(
            f"answered without what must be in it ({place}: {first['msg']})", _PROTOCOL
        ) from None
    reply.check()
    return reply


_PROTOCOL = "use a server with an OpenAI-compatible API"
_AGAIN = "try again, and look at what stands between here and the server"


def _json(data: bytes, discreet: Callable[[str], str]) -> Any:  # noqa: ANN401 – whatever came
    if not data.strip():
        raise OddReplyError("answered with an empty body", _AGAIN, temporary=True)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OddReplyError(
            f"answered with bytes that are no UTF-8 (at {error.start})", _AGAIN, temporary=True
        ) from None
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        raise OddReplyError(
            f"answered with a web page instead of JSON ({discreet(text.strip())[:SHOWN]!r})",
            "give the address of the server itself, not of a login or status page",
        )
    try:
        return json.loads(text.lstrip("\ufeff"))
    except RecursionError:
        raise OddReplyError("answered with JSON nested too deeply to be read", _PROTOCOL) from None
    except ValueError as error:
        raise OddReplyError(
            f"answered with broken JSON ({error}: {discreet(text)[:SHOWN]!r})",
            _AGAIN,
            temporary=True,
        ) from None


def _error_in_disguise(content: dict[str, Any], discreet: Callable[[str], str]) -> Exception:
    """The error in a body that came with HTTP 200, as some gateways and llama.cpp send it."""
    if is_too_long(json.dumps(content)):
        return TooLongError()
    details = content.get("error") or content
    code = details.get("code") if isinstance(details, dict) else None
    message = details.get("message") if isinstance(details, dict) else details
    status = code if isinstance(code, int) else 500
    return OddReplyError(
        f"answered HTTP 200 with an error in it ({discreet(str(message))[:SHOWN]})",
        "look at the server's log",
        temporary=is_temporary(status),
        status=status,
    )
