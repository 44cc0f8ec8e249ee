"""How a server says no: later, never, or not with this prompt. Internal to `server/`.

`Fleet` turns these exceptions into the errors of `sdg_assets.errors`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Temporary statuses below 500.
BUSY = frozenset({408, 409, 425, 429})
# Lasting statuses from 500 on: not implemented, version not supported, network login required.
LASTING = frozenset({501, 505, 511})
OF_REQUEST = frozenset({400, 413, 422})
"""Statuses with which a server may refuse one request and answer others."""
FAILED = 500
"""The status of an error while a server computes an answer, be it one request's or the server's."""
PROXY_GAVE_UP = frozenset({504, 524})
"""Statuses of a proxy that waits no longer for the server behind it; 524 is Cloudflare's."""
ABSENT = frozenset({404, 405, 501})
"""Statuses of a path that a server does not have."""
CUTS_OF_A_LIMIT = 3
SHORTEST_LIMIT_SECONDS = 5.0
"""A proxy that cannot reach its server says so sooner."""
LIMIT_SPREAD = 0.1
SHOWN = 200
"""Characters of a server's message that an error quotes."""

# The words by which servers say that prompt and answer exceed the context.
_TOO_LONG = re.compile(
    r"context_length_exceeded"  # OpenAI, TensorRT-LLM
    r"|exceed_context_size_error|exceeds? the available context size"  # llama.cpp
    r"|exceed context window"  # llama-cpp-python
    r"|maximum context length"  # vLLM, SGLang, DeepSeek's API
    r"|cannot be greater than max_model_len"  # vLLM, if the answer alone is too long
    r"|maximum model length"  # vLLM, for models that do not generate
    r"|tokens must be at least 1, got -"  # older vLLM: what the prompt leaves for the answer
    r"|longer than the model's context length"  # SGLang
    r"|exceeds? (?:the )?max(?:imum)? input len|should not exceed max_(?:num_tokens|seq_len)"  # NIM
    r"|`inputs` (?:tokens|must have)",  # Text Generation Inference
    re.IGNORECASE,
)


class TemporaryError(Exception):
    """An attempt that failed and may be repeated, here or at another server."""

    def __init__(
        self,
        problem: str,
        remedy: str,
        *,
        wait: float = 0.0,
        is_busy: bool = False,
        is_down: bool = False,
        status: int = 0,
    ) -> None:
        super().__init__(problem)
        self.remedy = remedy
        self.wait = wait
        """Seconds that the server asks to wait (`Retry-After`); 0 if it does not."""
        self.is_busy = is_busy
        """Whether it has too many requests now (HTTP 429)."""
        self.is_down = is_down
        """Whether the server itself may be gone: no answer, or a status from 500 on."""
        self.status = status
        """The HTTP status, or the one in a body that came with HTTP 200; 0 without any."""


class FrozenError(TemporaryError):
    """The server has made no progress for too long with all of its requests."""


class LostAnswerError(Exception):
    """One answer does not come, though the server answers requests that were sent later."""


class RefusedError(Exception):
    """An answer that will not change: wrong key, wrong path, another protocol, a bad request."""

    def __init__(
        self, sentence: str, status: int = 0, words: str = "", *, of_request: str = ""
    ) -> None:
        super().__init__(sentence)
        self.status = status
        """The HTTP status; 0 if the answer was not refused by its status."""
        self.words = words
        """The server's own message."""
        self.of_request = of_request
        """The problem in a few words, if it may concern this request alone; else empty."""


class TooLongError(Exception):
    """Prompt and longest answer exceed the context of the server's model."""


class OwnRefusalError(Exception):
    """The server refuses this request, and answers others of its form. The message is its words."""


def is_temporary(status: int) -> bool:
    """Whether a request that got this HTTP status may succeed later."""
    return status in BUSY or (status >= 500 and status not in LASTING)


def proxy_limit(ages: Sequence[float]) -> float | None:
    """The time limit of a proxy before a server, in seconds.

    Args:
        ages: The ages at which a proxy ended the last attempts at one request, in seconds.

    Returns:
        The mean age; None if they are too few, too short for a limit, or differ: then the server
        was away for other reasons.
    """
    if len(ages) < CUTS_OF_A_LIMIT or min(ages) < SHORTEST_LIMIT_SECONDS:
        return None
    mean = sum(ages) / len(ages)
    return mean if max(ages) - min(ages) <= LIMIT_SPREAD * mean else None


def is_too_long(message: str) -> bool:
    """Whether a server's error, as text or JSON, says that the request exceeds the context."""
    return _TOO_LONG.search(message) is not None


def retry_after(header: str) -> float:
    """Seconds to wait by a `Retry-After` header (seconds or a date); 0 if it has no value."""
    try:
        seconds = float(header)
    except ValueError:
        pass
    else:
        return seconds if seconds > 0 else 0.0  # also of nan
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
