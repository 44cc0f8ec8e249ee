"""What a server answers, checked at the edge: behind it every answer has the shape it must have."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, field_validator

from sdg_assets.teacher.requests import CUT_OFF, without_lone_surrogates

# Statuses below 500 that another attempt may not meet again.
BUSY = frozenset({408, 409, 425, 429})
# Statuses from 500 on that stay: not implemented, version not supported, network login required.
LASTING = frozenset({501, 505, 511})
SHOWN = 200
"""Characters of a server's words that an error repeats."""


def is_temporary(status: int) -> bool:
    """Whether a request that got this HTTP status may succeed later."""
    return status in BUSY or (status >= 500 and status not in LASTING)


class OddReplyError(Exception):
    """An answer that is not what the protocol promises.

    `problem` says what came, `remedy` what to do. `temporary` answers are asked for again.
    """

    def __init__(self, problem: str, remedy: str, *, temporary: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.temporary = temporary


class Reply(BaseModel):
    """A part of an answer; what is not named here may be there and is ignored."""

    def check(self) -> None:
        """Looks at what a type cannot say.

        Raises:
            OddReplyError: It is not well.
        """


class Anything(Reply):
    """An answer whose content does not matter."""


class ServedModel(Reply):
    """A model that the server lists."""

    id: str = Field(min_length=1)
    root: str | None = None
    max_model_len: int | None = Field(default=None, ge=1)


class ModelList(Reply):
    """The answer of `/v1/models`."""

    data: list[ServedModel] = Field(min_length=1)


class TokenCount(Reply):
    """The answer of `/tokenize`."""

    count: int = Field(ge=0)
    token_strs: list[str] | None = None
    """The tokens as text, where they were asked for."""


class PromptDetails(Reply):
    """What the prefix cache held."""

    cached_tokens: int | None = None


class ReportedUsage(Reply):
    """The tokens that a request cost."""

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    prompt_tokens_details: PromptDetails | None = None

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens that the prefix cache held."""
        return (self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens) or 0


class ChatUsage(ReportedUsage):
    """The tokens of a chat completion; a server that does not count them is no teacher."""

    completion_tokens: int = Field(ge=0)


class ChatMessage(Reply):
    """The message of a choice; null where a thinking model got no further than its thought."""

    content: str | None

    @field_validator("content", mode="before")
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
        """An answer that was cut off is no answer; another attempt may be whole."""
        reason = self.choices[0].finish_reason
        if reason in CUT_OFF:
            raise OddReplyError(
                f"answered with a finish_reason of {reason or 'null'}: the text is not whole",
                "look at the server's log",
                temporary=True,
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


def parsed(kind: type[ReplyT], data: bytes) -> ReplyT:
    """The body of a successful answer as what it must be.

    Args:
        kind: The answer's type.
        data: The body, decompressed.

    Raises:
        OddReplyError: It is something else.
    """
    if kind is Anything:  # a health check answers with an empty body, or whatever it likes
        return kind()
    found = _json(data)
    if not isinstance(found, dict):
        raise OddReplyError(
            f"answered with a JSON {type(found).__name__}, not an object", _PROTOCOL
        )
    if found.get("error") or found.get("object") == "error":
        raise _error_in_disguise(found)
    try:
        reply = kind.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise OddReplyError(
            f"answered without what must be in it ({place}: {first['msg']})", _PROTOCOL
        ) from None
    reply.check()
    return reply


_PROTOCOL = "use a server with vLLM's OpenAI-compatible API"
_AGAIN = "try again, and look at what stands between here and the server"


def _json(data: bytes) -> Any:  # noqa: ANN401 – whatever came
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
            f"answered with a web page instead of JSON ({text.strip()[:SHOWN]!r})",
            "give the address of the server itself, not of a login or status page",
        )
    try:
        return json.loads(text.lstrip("\ufeff"))
    except RecursionError:
        raise OddReplyError("answered with JSON nested too deeply to be read", _PROTOCOL) from None
    except ValueError as error:
        raise OddReplyError(
            f"answered with broken JSON ({error}: {text[:SHOWN]!r})", _AGAIN, temporary=True
        ) from None


def _error_in_disguise(found: dict[str, Any]) -> OddReplyError:
    """An error that was sent with a status of success, as some gateways do."""
    told = found.get("error") or found
    code = told.get("code") if isinstance(told, dict) else None
    words = told.get("message") if isinstance(told, dict) else told
    status = code if isinstance(code, int) else 500
    return OddReplyError(
        f"answered HTTP 200 with an error in it ({str(words)[:SHOWN]})",
        "look at the server's log",
        temporary=is_temporary(status),
    )
