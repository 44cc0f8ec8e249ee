"""Base of the three selecting kinds, whose answer is one of the choices, with identical text."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from types import MappingProxyType

from sdg_assets.answers.base import AnswerFormat
from sdg_assets.answers.extraction import (
    conclusion,
    json_answer,
    last_sentence,
    phrases,
)
from sdg_assets.answers.matching import Options
from sdg_assets.answers.wording import alike
from sdg_assets.kinds import VoteForm
from sdg_assets.records import Example

# Cached: preparing the options costs more than matching, and all votes of a label task share them.
_options = lru_cache(maxsize=1 << 10)(Options)


# "All of the above" makes sense only after the options that it refers to.
_ABOUT_OTHERS = re.compile(
    r"\b(?:all|none|both|neither|any)\s+(?:of\s+)?(?:the\s+)?(?:above|these|other\s+(?:options|answers))"
    r"|以上|上記|위의\s",
    re.IGNORECASE,
)

# A text that gives up states no answer, whatever its last sentence mentions.
_UNDECIDED = re.compile(
    r"\b(?:cannot|can't|could\s+not|couldn't|unable|unclear|insufficient|impossible"
    r"|not\s+(?:sure|clear|certain|possible|enough))\b",
    re.IGNORECASE,
)


def arranged(choices: Sequence[str], rng: random.Random) -> list[str]:
    """The choices shuffled, but choices about the others ("all of the above") come last.

    Args:
        choices: Texts.
        rng: Source of the random order.
    """
    shuffled = rng.sample(list(choices), len(choices))
    return sorted(shuffled, key=lambda choice: bool(_ABOUT_OTHERS.search(choice)))


class SelectionFormat(AnswerFormat):
    """Base of the kinds whose answer is one of several choices."""

    # The format gate checks for bare labels among the choices. A choice that the question repeats
    # is allowed: "Is it hot or cold?"
    answer_is_words = False
    vote_form = MappingProxyType[str, VoteForm]({"small": "constrained"})

    def synonyms(self, choices: Sequence[str]) -> Iterable[tuple[str, str]]:
        """Other words for the choices as (wording, choice)."""
        return ()

    def extract(self, text: str, example: Example) -> str | None:
        """The one choice that the text names; a letter means a position in `example.choices`.

        A text that announces no answer may state one of the written choices in its last sentence,
        or begin with its answer: "No. It was filmed in Hollywood."
        """
        # A constrained vote needs no search, which takes a hundred times as long.
        if text.startswith("{") and (answer := json_answer(text)) in example.choices:
            return answer
        synonyms = tuple(self.synonyms(example.choices))
        options = _options(tuple(example.choices), synonyms, example.language)
        is_announced = False
        for phrase in phrases(text, options.marks):
            if candidates := options.named(phrase):
                return candidates.pop() if len(candidates) == 1 else None
            is_announced |= phrase.stated and not phrase.concludes
        if is_announced:
            return None
        # The words of given labels occur in any sentence: "few positive aspects".
        if self.choices_are_written and not _UNDECIDED.search(text):
            stated = options.meant(last_sentence(text))
        else:
            stated = None
        return stated or options.opening(conclusion(text), whole=self.choices_are_written)

    def same(self, left: str, right: str, example: Example) -> bool:
        """Whether the folded texts are equal; choices that differ only in case (A, a) differ."""
        if left in example.choices and right in example.choices:
            return left == right
        return alike(left, right, example.language)

    def check(self, example: Example) -> str | None:
        """Tests for at least two distinct choices, with the answer at its index."""
        if len(example.choices) < 2:
            return "fewer than two choices"
        if len(set(example.choices)) < len(example.choices):
            return "repeated choices"
        index = example.answer_index
        if index is None or not 0 <= index < len(example.choices):
            return "answer index outside the choices"
        return None if example.choices[index] == example.answer else "answer is not its choice"

    def is_given_away(self, example: Example) -> bool:
        """Never: the choices show the answer anyway."""
        return False
