"""Which sentences of a background its passages support, as far as words alone can tell.

Certain are the extremes. A number or a name that neither the passages nor the row's question have
was made up. A sentence whose words nearly all stand in one sentence of a passage, and none of these
turns the sense around, is supported; one with hardly any of them is not. All others are uncertain:
a model must read them. Two sentences of a passage are never joined: "Wood is a good conductor" has
all its words in neighbours that say the opposite.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from sdg_assets.passages.words import (
    DIRECTIONS,
    NEGATIONS,
    names_in,
    numbers_in,
    sentences,
    stems,
    words_of,
)

SURE = 0.8
"""Share of a sentence's stems that a sentence of a passage has, from which it may be supported."""
LEAST = 0.4
"""Share of a sentence's stems in all passages, below which it is unsupported."""
NAMED_LINE = 0.45
"""Share of a sentence's stems that a line must have to support it in other words. Of 293 sentences
that a person marked, a 1.5B reader then agrees on 85 % (0.3: 84 %), and what it supports is right
more often (0.3: 86 %, now 90 %)."""
OTHER_LINE = 0.5
"""The same share for a line that the reader did not name."""
NOT = "not"
_PRONOUN = re.compile(r"(?:It|Its|They|Their|He|His|She|Her)\b")
# German capitalizes every noun, so a capital marks no name.
_EVERY_NOUN = frozenset({"de", "lb"})


class Verdict(StrEnum):
    """What is known about a sentence."""

    SUPPORTED = "supported"
    UNSUPPORTED = "unsupported"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Checked:
    """A sentence with its verdict."""

    sentence: str
    verdict: Verdict
    reason: str = ""
    """Why: what is missing, or how much is there."""


@dataclass(frozen=True)
class Grounds:
    """What a background may rest on.

    Attributes:
        passages: Title, newline and text of each passage; the row's own context has no title.
        row: Question, choices and answer: words of them may be used, but they support no claim.
        language: ISO 639 code of the row.
    """

    passages: tuple[str, ...]
    row: str
    language: str = "en"

    @property
    def lines(self) -> list[str]:
        """The sentences of the passages, which a reader names by number."""
        return [line for passage in self.passages for line in sentences(passage)]


def checked_by_words(background: str, grounds: Grounds) -> list[Checked]:
    """The verdict on each sentence of a background."""
    return [checked_sentence(sentence, grounds) for sentence in sentences(background)]


def checked_sentence(sentence: str, grounds: Grounds) -> Checked:
    """The verdict of the words on one sentence."""
    known = {*stems("\n".join(grounds.passages)), *stems(grounds.row)}
    numbers = numbers_in("\n".join((*grounds.passages, grounds.row)))
    if missing := sorted(numbers_in(sentence) - numbers):
        return Checked(sentence, Verdict.UNSUPPORTED, f"number {missing[0]}")
    is_marked = grounds.language not in _EVERY_NOUN
    if is_marked and (unknown := sorted(names_in(sentence) - known)):
        return Checked(sentence, Verdict.UNSUPPORTED, f"name {unknown[0]}")
    own = set(stems(sentence))
    if not own:
        return Checked(sentence, Verdict.SUPPORTED, "states nothing")
    share, is_same_way = _best_line(sentence, own, grounds.passages)
    if share >= SURE and is_same_way:
        return Checked(sentence, Verdict.SUPPORTED, f"{share:.0%} of its words")
    everywhere = len(own & set(stems("\n".join(grounds.passages)))) / len(own)
    if everywhere < LEAST:
        return Checked(sentence, Verdict.UNSUPPORTED, f"{everywhere:.0%} of its words")
    return Checked(sentence, Verdict.UNCERTAIN, f"{share:.0%} of its words")


def stands_at(sentence: str, line: int, grounds: Grounds) -> bool:
    """Whether a line has enough words of a sentence that it is said to support.

    Args:
        sentence: The sentence.
        line: Number of the line in `Grounds.lines`, from 1; its neighbours count with it.
        grounds: What the sentence may rest on.
    """
    own, near = set(stems(sentence)), "\n".join(grounds.lines[max(0, line - 2) : line + 1])
    has_line = 1 <= line <= len(grounds.lines)
    if has_line and len(own & set(stems(near))) >= NAMED_LINE * len(own):
        return True
    # Small readers often give the number of a line nearby.
    return line > 0 and _best_line(sentence, own, grounds.passages)[0] >= OTHER_LINE


def _best_line(sentence: str, own: set[str], passages: Sequence[str]) -> tuple[float, bool]:
    """The most of the stems that one sentence of a passage has, and whether the sense agrees."""
    turning = _turning(sentence)
    best = (0.0, False)
    for passage in passages:
        for words, signs in _lines(passage):
            best = max(best, (len(own & words) / len(own), turning == signs))
    return best


@lru_cache(maxsize=1 << 10)
def _lines(passage: str) -> list[tuple[frozenset[str], frozenset[str]]]:
    title, _, text = passage.partition("\n")
    return [
        # A passage says "it" where a background names the topic.
        (frozenset(stems(f"{title} {line}" if _PRONOUN.match(line) else line)), _turning(line))
        for line in sentences(text)
    ]


def _turning(text: str) -> frozenset[str]:
    """The words that turn a text's sense around; every negation counts as the same."""
    words = set(words_of(text))
    negated = {NOT} if words & NEGATIONS else set()
    return frozenset(words & DIRECTIONS | negated)
