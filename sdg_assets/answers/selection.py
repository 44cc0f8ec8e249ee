"""What the three selecting kinds share: the answer is one of the choices, by identity of text."""

from __future__ import annotations

import re

from sdg_assets.answers.base import AnswerFormat
from sdg_assets.answers.extraction import (
    boxed,
    json_answer,
    last_line,
    marked_answer,
    normalized,
    unwrap,
)
from sdg_assets.examples import Example

_LABEL = re.compile(r"^(?:option|choice)?\s*[(\[]?([A-Z]|\d{1,2})[)\].:]?(?:\s+(.*)|$)", re.DOTALL)


class SelectionFormat(AnswerFormat):
    """Base of multiple choice, boolean and label."""

    def extract(self, text: str, example: Example) -> str | None:
        """The choice that the text settles on; letters count by the order shown."""
        for candidate in (marked_answer(text), boxed(text), json_answer(text), last_line(text)):
            if candidate and (found := match_choice(candidate, example.choices)):
                return found
        return None

    def same(self, left: str, right: str, example: Example) -> bool:
        """Identity of text; two choices that differ in case alone (A, a) stay apart."""
        if left in example.choices and right in example.choices:
            return left == right
        return normalized(left) == normalized(right)

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


def match_choice(candidate: str, choices: list[str]) -> str | None:
    """The choice a short answer names: by text, by letter, or as the only one it contains.

    Args:
        candidate: What stands after "the answer is".
        choices: The texts in the order shown; the first is A or 1.

    Returns:
        The choice, or None when it names none or several.
    """
    candidate = unwrap(candidate)
    if candidate in choices:
        return candidate
    wanted = normalized(candidate)
    equal = [c for c in choices if normalized(c) == wanted]
    if len(equal) == 1:
        return equal[0]
    if label := _LABEL.match(candidate):
        letter, rest = label[1], (label[2] or "").strip(" -–:")
        index = ord(letter) - ord("A") if letter.isalpha() else int(letter) - 1
        if 0 <= index < len(choices):
            # "B. copper": the text outweighs the letter, which a shuffled order may have moved.
            by_text = match_choice(rest, choices) if rest else choices[index]
            if by_text:
                return by_text
    contained = [c for c in choices if _contains(wanted, normalized(c))]
    longest = max(contained, key=len, default=None)
    if longest is not None and all(normalized(c) in normalized(longest) for c in contained):
        return longest
    return None


def _contains(text: str, part: str) -> bool:
    return bool(part) and re.search(rf"(?<!\w){re.escape(part)}(?!\w)", text) is not None
