"""Token ids of the texts with which many prompts begin: they are tokenized once.

All prompts of a subtask begin with the same instructions, a quarter to two fifths of their tokens,
and tokenizing is most of what a prompt costs. A tokenizer of the library `tokenizers` first cuts a
text at its added tokens and then works on each piece alone, so the ids of a text are the ids of
what is before an added token and of what begins with it.
"""

from __future__ import annotations

from collections.abc import Callable

Tokenize = Callable[[str], list[int]]
_MOST = 4096
"""Openings that are remembered; when there are more, all are forgotten."""


class Openings:
    """Remembers the ids of openings that come again, and tokenizes only what follows them."""

    def __init__(self, tokenize: Tokenize) -> None:
        """Knows no opening yet.

        Args:
            tokenize: Gives the token ids of a text.
        """
        self._tokenize = tokenize
        self._ids: dict[str, list[int] | None] = {}
        self._seen: set[int] = set()

    def ids(self, text: str, cut: int) -> list[int]:
        """The token ids of a text.

        Args:
            text: A rendered prompt.
            cut: Where its opening ends and an added token begins; 0: it has no opening.
        """
        opening = text[:cut]
        known = self._ids.get(opening) if opening else None
        if known is not None:
            return known + self._tokenize(text[cut:])
        ids = self._tokenize(text)
        # An opening that comes once, such as one with a row's own text, is not worth its memory.
        if opening and opening not in self._ids and self._came_before(opening):
            self._ids[opening] = self._checked(text, cut, ids)
        return ids

    def _came_before(self, opening: str) -> bool:
        if len(self._seen) >= _MOST:
            self._seen.clear()
            self._ids.clear()
        number = hash(opening)
        came = number in self._seen
        self._seen.add(number)
        return came

    def _checked(self, text: str, cut: int, ids: list[int]) -> list[int] | None:
        """The opening's ids; None if they and those of the rest are not the ids of the whole."""
        opening = self._tokenize(text[:cut])
        return opening if opening + self._tokenize(text[cut:]) == ids else None
