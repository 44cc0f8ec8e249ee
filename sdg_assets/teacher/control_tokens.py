"""Control tokens: their forms, and how to find them in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from sdg_assets.records import Example

USUAL = re.compile(
    # ChatML, Llama 3 and 4, Phi, gpt-oss: <|im_start|>, <|eot_id|>, <|channel|>
    r"<\|[A-Za-z0-9_]+\|>"
    # DeepSeek: <｜User｜>, <｜end▁of▁sentence｜>
    r"|<｜[^｜<>\n]{1,60}｜>"
    # Gemma
    r"|<(?:start|end)_of_(?:turn|image)>"
    # Llama 2, Mistral
    r"|\[/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS)\]|<</?SYS>>"
    # Qwen, DeepSeek: thoughts and tools
    r"|</?(?:think|tool_call|tool_response)>"
)
"""Control tokens of common models. In a seed they are leftovers of a model's output, whichever
teacher reads it."""

# Gemma has a token for each of these tags; they are text, not control tokens.
_TAGS = (
    "table caption thead tbody tfoot tr th td h1 h2 h3 h4 h5 h6 blockquote strong em b i u s sub"
    " sup code p br ul ol li"
)
HTML = frozenset(f"<{slash}{tag}>" for slash in ("", "/") for tag in _TAGS.split())
_MARKER = re.compile(r"<[^<>\s]{1,60}>|\[[^\[\]\s]{1,60}\]")
is_marker, holds_marker = _MARKER.fullmatch, _MARKER.search


class ControlTokens:
    """A tokenizer's control tokens as text; finds them in other texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Builds the index. Single characters are left out, because they cannot be broken up.

        Args:
            texts: The control tokens as text.
        """
        self.texts = frozenset(text for text in texts if len(text) > 1)
        # Gemma 3 has 6,000 tokens: a regex alternation would try them all at each character.
        lengths: dict[str, set[int]] = {}
        for text in self.texts:
            lengths.setdefault(text[0], set()).add(len(text))
        self._lengths = {first: sorted(sizes, reverse=True) for first, sizes in lengths.items()}
        first = "".join(map(re.escape, self._lengths))
        self._first = re.compile(f"[{first}]" if first else r"(?!)")

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def within(self, text: str) -> str:
        """The first control token in a text; empty if it contains none."""
        return next((token for _, token in self._occurrences(text)), "")

    def last_before(self, text: str, end: int) -> int:
        """Where the last control token before a place begins; -1 if there is none."""
        return max((place for place, _ in self._occurrences(text[: max(0, end)])), default=-1)

    def pieces(self, text: str) -> list[str]:
        """The text in pieces without control tokens: each token is cut after its first letter."""
        cuts = [0, *(place + 1 for place, _ in self._occurrences(text)), len(text)]
        return [text[start:end] for start, end in pairwise(cuts) if start < end]

    def _occurrences(self, text: str) -> Iterator[tuple[int, str]]:
        for match in self._first.finditer(text):
            place = match.start()
            for length in self._lengths[match[0]]:
                if (token := text[place : place + length]) in self.texts:
                    yield place, token
                    break


def control_token_of(row: Example, teachers: Iterable[ControlTokens]) -> str:
    """The first control token in a row's texts.

    Args:
        row: A seed or a generated row.
        teachers: The control tokens of each teacher that will read the row. `USUAL` tokens always
            count.

    Returns:
        The token as written in the row; empty if there is none.
    """
    tokens_by_teacher = list(teachers)
    parts = (row.context, row.question, row.answer, row.solution)
    texts = [*parts, *row.choices, *row.aliases, *row.tests]
    # Most rows hold none. A control token never contains the character between the texts.
    joined = "\0".join(texts)
    if not USUAL.search(joined) and not any(tokens.within(joined) for tokens in tokens_by_teacher):
        return ""
    for text in texts:
        if usual := USUAL.search(text):
            return usual[0]
        for tokens in tokens_by_teacher:
            if token := tokens.within(text):
                return token
    return ""


def controls(token: Any) -> bool:  # noqa: ANN401 – an added token of Transformers
    """Whether an added token is a control token.

    The `special` mark is not enough: `<think>` and `<｜User｜>` lack it.
    """
    text = str(token)
    return bool(token.special or (is_marker(text) and text not in HTML))
