"""A name, date or phrase. Several wordings may be right."""

from __future__ import annotations

import random
import re

from pydantic import Field

from sdg_assets.answers.base import (
    AnswerFormat,
    Draft,
    context_fields,
    context_of,
    with_context,
)
from sdg_assets.answers.dates import parse_date
from sdg_assets.answers.extraction import phrases, unwrap
from sdg_assets.answers.markers import ABSTAINING
from sdg_assets.answers.numbers import quantity
from sdg_assets.answers.wording import alike, tokens, typography
from sdg_assets.records import Content, Example

LONGEST_UNMARKED = 8
"""Most words of a last line that counts as the answer without an announcement."""

# A full stop ends the answer only after a long enough word: not in "St. Louis", "J. K. Rowling".
_EXPLANATION = re.compile(
    r"(?:(?<=[^\W\d_]{4})|(?<=\d{3})|(?<=[)\]\"'”]))[.!]\s|[。;\n]|,?\s(?:because|since)\b|,\s(?:which|who|where|as|not)\b"
    r"|\s—\s"
)
_ADDITION = re.compile(r"(?<=[\w+-])\s*\([^()]*\)$|^(?:in|on|at)\s+", re.IGNORECASE)


class ShortTextDraft(Draft):
    """The answer, and other wordings of it that are right too."""

    answer: str
    aliases: list[str] = Field(max_length=4)


class ShortText(AnswerFormat):
    """Compared by folded text, date or number, with all aliases."""

    name = "short_text"
    default_frame = "A question that a few words answer."
    is_compared_by_verifier = True
    is_first_guess = True

    def draft_model(self, anchor: Example) -> type[Draft]:
        """A draft with a question, an answer and aliases."""
        return with_context(ShortTextDraft, anchor)

    def draft_of(self, example: Example) -> Draft:
        """Keeps at most four aliases: some TriviaQA rows have hundreds."""
        return self.draft_model(example).model_validate(
            {
                **context_fields(example),
                "question": example.question,
                "answer": example.answer,
                "aliases": example.aliases[:4],
            }
        )

    def assemble(self, draft: Draft, anchor: Example, rng: random.Random) -> Content:
        """Drops aliases that repeat the answer."""
        made = draft.model_dump()
        aliases = dict.fromkeys(a for a in made.get("aliases", []) if a and a != made["answer"])
        return Content(
            question=draft.question,
            answer=made["answer"],
            context=context_of(draft),
            aliases=list(aliases),
        )

    def extract(self, text: str, example: Example) -> str | None:
        """The announced answer, or a last line of at most `LONGEST_UNMARKED` words.

        None if a phrase before it refuses to answer.
        """
        for phrase in phrases(text):
            words = self.trimmed(phrase.text, example)
            if ABSTAINING.match(words):
                return None
            if words and (phrase.stated or _is_short(words)):
                return words
        return None

    def trimmed(self, phrase: str, example: Example) -> str:
        """The phrase without the explanation that follows it."""
        return unwrap(_EXPLANATION.split(phrase, maxsplit=1)[0])

    def same(self, left: str, right: str, example: Example) -> bool:
        """Whether text, date or number match, or both are known wordings of the answer.

        One side may have an addition in brackets ("Mercury (planet)"), or a preposition before a
        time or place ("in 1998"), that the other lacks.
        """
        if _match(left, right, example.language):
            return True
        known = (example.answer, *example.aliases)
        return any(_match(left, k, example.language) for k in known) and any(
            _match(right, k, example.language) for k in known
        )


def _match(left: str, right: str, language: str) -> bool:
    if alike(left, right, language):
        return True
    if (date := parse_date(left)) is not None:
        return date == parse_date(right)
    number, other = quantity(left, language), quantity(right, language)
    if number and other:
        return (number.value, number.unit) == (other.value, other.unit)
    return alike(_bare(left), right, language) or alike(left, _bare(right), language)


def _bare(text: str) -> str:
    return _ADDITION.sub("", text.strip())


def _is_short(text: str) -> bool:
    return len(list(tokens(typography(text)))) <= LONGEST_UNMARKED


ANSWER = ShortText()
