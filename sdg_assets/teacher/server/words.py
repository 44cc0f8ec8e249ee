"""The prompts of a server: their tokens counted, and their control tokens broken up.

A server takes text and tokenizes it itself. If `<|im_end|>` in a question became a control token,
the text after it would be an instruction, so control tokens are broken up by a blank after their
first letter: always the usual ones of common models, and in addition

- with the model's own tokenizer on this machine: all control tokens that it has (`LocalWords`);
- with a server that tokenizes for us (vLLM, SGLang, llama.cpp): the tokens of its chat template,
  and each text of their form that is a single token. It is asked once for each such text, while
  other requests are sent (`AskedWords`);
- with neither: every text of their form that is not HTML (`GuessedWords`).

Only the model's own tokenizer counts tokens. Without it their number is estimated from the bytes.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

from sdg_assets.errors import PermanentError
from sdg_assets.teacher.control_tokens import (
    HTML,
    USUAL,
    ControlTokens,
    holds_marker,
    is_marker,
)
from sdg_assets.teacher.encoding import ChatEncoder
from sdg_assets.teacher.models import COMMIT, HUB_ID
from sdg_assets.teacher.requests import Message, TeacherIdentity
from sdg_assets.teacher.server.served import ServedModel

log = logging.getLogger(__name__)

_TOKEN_LIKE = re.compile(r"</?[A-Za-z][^<>\s]{0,60}>|\[/?[A-Za-z_]{2,60}\]")
# HTML's tag for struck-through text is also the token at a text's beginning, or end.
_TEXT = HTML - {"<s>", "</s>"}

BYTES_PER_TOKEN = 3.0
"""An estimate that is too high rather than too low: English has 4.2 to 4.6 bytes a token, code 3 to
4, Chinese 3 to 4.5 (a character or more)."""
MOST_BYTES_PER_TOKEN = 12.0
"""No prompt has more bytes a token, so a prompt that is too long by this measure is too long."""
OF_TURN = 16
"""Tokens of a chat template for each turn; a guess on the high side."""
MOST_KNOWN = 65_536
"""Texts of the form of a control token that are remembered (10 MB); then all are forgotten."""
_TOKENIZER_FILES = ("tokenizer_config.json", "tokenizer.json", "tokenizer.model", "vocab.json")


class Words(ABC):
    """The prompts of a served model."""

    @property
    @abstractmethod
    def control_tokens(self) -> ControlTokens:
        """The known control tokens of its tokenizer, besides the usual ones."""

    def harmless(self, messages: Sequence[Message]) -> list[Message]:
        """The messages with a blank after the first letter of each control token."""
        return [
            Message(role=message.role, content=self.harmless_text(message.content))
            if holds_marker(message.content)
            else message
            for message in messages
        ]

    def harmless_text(self, text: str) -> str:
        """The text with a blank after the first letter of each control token."""
        text = USUAL.sub(_broken, text)
        text = _TOKEN_LIKE.sub(lambda m: _broken(m) if self.may_control(m[0]) else m[0], text)
        return " ".join(self.control_tokens.pieces(text))

    @abstractmethod
    def may_control(self, text: str) -> bool:
        """Whether a text of the form of a control token may be one."""

    def knows(self, messages: Sequence[Message]) -> bool:
        """Whether all is known that `harmless` needs for these messages; else `learn` it first."""
        return True

    async def learn(  # noqa: B027 – most have nothing to learn
        self, messages: Sequence[Message]
    ) -> None:
        """Finds out what `harmless` needs for these messages; in the background thread.

        Raises:
            TransientError: The server does not answer now.
        """

    def count(self, messages: Sequence[Message], thinking: str = "") -> int:
        """Number of prompt tokens of a conversation, chat template included.

        Args:
            messages: The conversation.
            thinking: The thinking mode, which may change the chat template.

        Returns:
            The number, or an estimate that is too high rather than too low.
        """
        return math.ceil(_bytes(messages) / BYTES_PER_TOKEN) + OF_TURN * len(messages)

    def least(self, messages: Sequence[Message], thinking: str = "") -> int:
        """As `count`, but an estimate is certainly too low."""
        return math.ceil(_bytes(messages) / MOST_BYTES_PER_TOKEN)


class LocalWords(Words):
    """With the model's own tokenizer, which is on this machine."""

    def __init__(self, encoder: ChatEncoder) -> None:
        """Takes the control tokens of the tokenizer.

        Args:
            encoder: The tokenizer with its chat template.
        """
        self._encoder = encoder

    @property
    def control_tokens(self) -> ControlTokens:
        """All control tokens of the tokenizer."""
        return self._encoder.control_tokens

    def may_control(self, text: str) -> bool:
        """False: `control_tokens` lists them all."""
        return False

    def count(self, messages: Sequence[Message], thinking: str = "") -> int:
        """The exact number."""
        return len(self._encoder.encode(messages, thinking))

    def least(self, messages: Sequence[Message], thinking: str = "") -> int:
        """The exact number."""
        return self.count(messages, thinking)


class AskedWords(Words):
    """With a server that tells whether a text is one token."""

    def __init__(
        self, of_template: Iterable[str], is_token: Callable[[str], Coroutine[Any, Any, bool]]
    ) -> None:
        """Prepares; asks nothing yet.

        Args:
            of_template: The tokens of a rendered conversation, as the server writes them.
            is_token: Whether the server reads a text as a single token. Called once per text.
        """
        self._of_template = ControlTokens(t.strip() for t in of_template if is_marker(t.strip()))
        self._is_token = is_token
        self._known: dict[str, bool] = {}
        self._asked: dict[str, asyncio.Task[bool]] = {}

    @property
    def control_tokens(self) -> ControlTokens:
        """The template's tokens that have the form of control tokens."""
        return self._of_template

    def may_control(self, text: str) -> bool:
        """Whether the server reads the text as one token; True while that is unknown.

        A word in angle brackets may be one token without control; then a blank does no harm.
        """
        return self._known.get(text, True)

    def knows(self, messages: Sequence[Message]) -> bool:
        """Whether the server has been asked about each text of the form of a control token."""
        return not self._unknown(messages)

    async def learn(self, messages: Sequence[Message]) -> None:
        """Asks the server about each text of the form of a control token that is new."""
        await asyncio.gather(*map(self._ask, self._unknown(messages)))

    def _unknown(self, messages: Sequence[Message]) -> set[str]:
        texts = (USUAL.sub(_broken, m.content) for m in messages if holds_marker(m.content))
        # `set - dict.keys()` would walk through all that is known, for each prompt.
        return {t for text in texts for t in _TOKEN_LIKE.findall(text) if t not in self._known}

    async def _ask(self, text: str) -> None:
        if text not in self._asked:
            self._asked[text] = asyncio.ensure_future(self._is_token(text))
            self._asked[text].add_done_callback(lambda _: self._asked.pop(text))
        is_token = await asyncio.shield(self._asked[text])
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[text] = is_token


class GuessedWords(Words):
    """With nothing but the form of control tokens."""

    control_tokens = ControlTokens(())

    def may_control(self, text: str) -> bool:
        """Whether the text is no tag of HTML."""
        return text not in _TEXT


def local_words(served: ServedModel, identity: TeacherIdentity) -> LocalWords | None:
    """The prompts of a model whose tokenizer is on this machine; uses no network.

    Args:
        served: The server's description of its model.
        identity: The model, with its revision if that is known.

    Returns:
        None if neither the directory that the server names nor the Hub's cache holds the tokenizer,
        or if it has no chat template.
    """
    directory = _tokenizer_directory(served, identity)
    if directory is None:
        return None
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(directory), local_files_only=True, trust_remote_code=False
        )
        encoder = ChatEncoder(tokenizer, served.name, identity.thinking)
        encoder.encode([Message(role="user", content="Why?")])
    except (OSError, ValueError, KeyError, ImportError, PermanentError) as error:
        log.warning("teacher %s: the tokenizer in %s is not used: %s", served.url, directory, error)
        return None
    return LocalWords(encoder)


def _tokenizer_directory(served: ServedModel, identity: TeacherIdentity) -> Path | None:
    root = Path(served.root) if served.root.startswith("/") else None
    if root and any((root / name).is_file() for name in _TOKENIZER_FILES):
        return root
    model, revision = identity.stamp.model, identity.stamp.revision
    if not HUB_ID.fullmatch(model):
        return None
    from huggingface_hub import try_to_load_from_cache

    # A model's tokenizer hardly ever changes, so that of another revision is better than none.
    for pin in (revision, "main") if COMMIT.fullmatch(revision) else ("main",):
        for name in _TOKENIZER_FILES:
            cached: Any = try_to_load_from_cache(model, name, revision=pin)
            if isinstance(cached, str):
                return Path(cached).parent
    return None


def _bytes(messages: Sequence[Message]) -> int:
    return sum(len(message.content.encode()) for message in messages)


def fits_surely(messages: Sequence[Message], tokens: int) -> bool:
    """Whether a conversation has no more than so many tokens, as no token has less than a byte."""
    return _bytes(messages) + OF_TURN * len(messages) <= tokens


def _broken(match: re.Match[str]) -> str:
    return f"{match[0][0]} {match[0][1:]}"
