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
    question_holds_answer,
    with_context,
)
from sdg_assets.answers.extraction import conclusion, json_answer, normalized
from sdg_assets.records import Content, Example

_HEADING = re.compile(r"^[#*_\s]*(?:final\s+)?answer[*_\s]*:[*_]*", re.IGNORECASE | re.MULTILINE)


class FreeFormDraft(Draft):
    """Question and prose answer."""

    answer: str


class FreeForm(AnswerFormat):
    """Without a judge two answers agree only when they share most of their words."""

    name = "free_form"
    default_frame = "A question that a short text answers."
    serves_any_row = True
    has_long_answers = True
    is_prose = True
    question_opens_with_frame = True
    is_weak_evidence = True
    is_worded_freely = True
    # Prose says one thing in many wordings: a majority against the writer has no wording to take
    # over, and a trace is only a second wording of the answer.
    may_be_corrected = False
    is_compared_by_judge = True
    keeps_trace = False
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

    def is_given_away(self, example: Example) -> bool:
        """Whether the answer is word for word in the question and makes up most of it."""
        answer = normalized(example.answer, example.language)
        question = normalized(example.question, example.language)
        return question_holds_answer(example) and 2 * len(answer) > len(question)


ANSWER = FreeForm()
