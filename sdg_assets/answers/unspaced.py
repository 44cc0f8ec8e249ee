"""Counts characters and words of texts, also in scripts without spaces, such as Thai."""

from __future__ import annotations

import re

from sdg_assets.answers.wording import UNSPACED

_UNSPACED = re.compile(f"[{UNSPACED}]").findall


def unspaced_characters(text: str) -> int:
    """The number of characters in scripts without spaces; 0 for most texts."""
    return 0 if text.isascii() else len(_UNSPACED(text))


def words_in(text: str, *, characters: int = 2) -> int:
    """The number of words. Words with spaces between them count as they are.

    Args:
        text: The text.
        characters: A run of text in a script without spaces counts as one word for this many
            characters: two is about the length of a Chinese or Japanese word.
    """
    pieces = text.split()
    if text.isascii():
        return len(pieces)
    return sum(max(1, len(_UNSPACED(piece)) // characters) for piece in pieces)
