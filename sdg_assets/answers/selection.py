"""What the three selecting kinds share: the answer is one of the choices, by identity of text."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from sdg_assets.answers.base import AnswerFormat
from sdg_assets.answers.extraction import normalized, phrases
from sdg_assets.answers.matching import Options
from sdg_assets.records import Example

# Preparing is dearer than reading, and every vote on a label has the same few.
_options = lru_cache(maxsize=1 << 10)(Options)


# "All of the above" says something only behind the options it speaks of.
_ABOUT_OTHERS = re.compile(
    r"\b(?:all|none|both|neither|any)\s+(?:of\s+)?(?:the\s+)?(?:above|these|other\s+(?:options|answers))"
    r"|以上|上記|위의\s",
    re.IGNORECASE,
)


def arranged(choices: Sequence[str], rng: random.Random) -> list[str]:
    """The choices shuffled, those that speak of the others ("all of the above") last.

    Args:
        choices: Texts.
        rng: Decides the order.
    """
    shuffled = rng.sample(list(choices), len(choices))
    return sorted(shuffled, key=lambda choice: bool(_ABOUT_OTHERS.search(choice)))


class SelectionFormat(AnswerFormat):
    """Base of the kinds whose answer is one of several choices."""

    # A bare label among the choices is the format gate's affair, a word that the question repeats
    # nobody's: "Is it hot or cold?"
    answer_is_words = False

    def synonyms(self, choices: Sequence[str]) -> Iterable[tuple[str, str]]:
        """Other words for the choices as (wording, choice)."""
        return ()

    def extract(self, text: str, example: Example) -> str | None:
        """The one choice that the text settles on; letters count by the order of the choices."""
        synonyms = tuple(self.synonyms(example.choices))
        options = _options(tuple(example.choices), synonyms, example.language)
        for phrase in phrases(text):
            if candidates := options.named(phrase):
                return candidates.pop() if len(candidates) == 1 else None
        return None

    def same(self, left: str, right: str, example: Example) -> bool:
        """Identity of text; two choices that differ in case alone (A, a) stay apart."""
        if left in example.choices and right in example.choices:
            return left == right
        return normalized(left, example.language) == normalized(right, example.language)

    def check(self, example: Example) -> str | None:
        """The answer is one of at least two distinct choices, and is where the index says."""
        if len(example.choices) < 2:
            return "fewer than two choices"
        if len(set(example.choices)) < len(example.choices):
            return "repeated choices"
        index = example.answer_index
        if index is None or not 0 <= index < len(example.choices):
            return "answer index outside the choices"
        return None if example.choices[index] == example.answer else "answer is not its choice"

    def is_given_away(self, example: Example) -> bool:
        """Never: the choices name the answer as well."""
        return False
