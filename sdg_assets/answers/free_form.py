"""Prose: an explanation, a summary. Whether two agree is the judge's comparison."""

from __future__ import annotations

import random
import re
from collections import Counter

from sdg_assets.answers.base import (
    AnswerFormat,
    Draft,
    context_fields,
    context_of,
    with_context,
)
from sdg_assets.answers.extraction import conclusion, json_answer, normalized
from sdg_assets.records import AnswerKind, Content, Example

_HEADING = re.compile(r"^[#*_\s]*(?:final\s+)?answer[*_\s]*:[*_]*", re.IGNORECASE | re.MULTILINE)


class FreeFormDraft(Draft):
    """Question and prose answer."""

    answer: str


class FreeForm(AnswerFormat):
    """Without a judge two answers agree only when they share most of their words."""

    kind = AnswerKind.FREE_FORM
    OVERLAP = 0.5

    def draft_model(self, anchor: Example) -> type[Draft]:
        """Question and answer."""
        return with_context(FreeFormDraft, anchor)

    def draft_of(self, example: Example) -> Draft:
        """The example's own fields."""
        return self.draft_model(example).model_validate(
            {
                **context_fields(example),
                "question": example.question,
                "answer": example.answer,
            }
        )

    def assemble(self, draft: Draft, anchor: Example, rng: random.Random) -> Content:
        """Takes the draft as it is."""
        return Content(
            question=draft.question,
            answer=draft.model_dump()["answer"],
            context=context_of(draft),
        )

    def extract(self, text: str, example: Example) -> str | None:
        """What follows a heading "Answer:", else the whole text."""
        text = conclusion(text)
        given = json_answer(text)
        return (given or _HEADING.split(text)[-1]).strip() or None

    def same(self, left: str, right: str, example: Example) -> bool:
        """Word-overlap F1 of at least `OVERLAP`: a floor that catches answers to another question.

        Source: SQuAD's token F1. Numbers must not contradict each other.
        """
        a, b = (Counter(normalized(t, example.language).split()) for t in (left, right))
        shared = (a & b).total()
        numbers, others = ({w for w in words if w[-1:].isdigit()} for words in (a, b))
        agree = numbers <= others or others <= numbers
        return agree and bool(shared) and 2 * shared / (a.total() + b.total()) >= self.OVERLAP


ANSWER = FreeForm()
