"""Prose: an explanation or a summary. The judge decides whether two answers agree."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

from sdg_assets.answers.base import (
    AnswerFormat,
    Draft,
    context_fields,
    context_of,
    question_holds_answer,
    with_context,
)
from sdg_assets.answers.extraction import after_thinking, json_answer, normalized
from sdg_assets.records import Content, Example

_HEADING = re.compile(r"^[#*_\s]*(?:final\s+)?answer[*_\s]*:[*_]*", re.IGNORECASE | re.MULTILINE)


class FreeFormDraft(Draft):
    """Question and prose answer."""

    answer: str


class FreeForm(AnswerFormat):
    """Without a judge, two answers agree only if they share most of their words."""

    name = "free_form"
    default_frame = "A question that a short text answers."
    serves_any_row = True
    has_long_answers = True
    is_prose = True
    question_opens_with_frame = True
    is_weak_evidence = True
    is_worded_freely = True
    # Answers that agree differ in wording: a majority against the writer has no single text to take
    # over, and a trace is only another wording of the answer.
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
        """Takes the draft unchanged."""
        return Content(
            question=draft.question,
            answer=draft.model_dump()["answer"],
            context=context_of(draft),
        )

    def vote_schema(self, example: Example) -> dict[str, Any] | None:
        """None: prose has no short answer to announce."""
        return None

    def extract(self, text: str, example: Example) -> str | None:
        """The `answer` of a JSON reply, or the text after "Answer:", or else the whole text."""
        # Not its `conclusion`: "Actually, bats see well." is part of an answer and corrects none.
        text = after_thinking(text)
        in_json = json_answer(text)
        return (in_json or _HEADING.split(text)[-1]).strip() or None

    def same(self, left: str, right: str, example: Example) -> bool:
        """Whether the word-overlap F1 is at least `OVERLAP`, and the numbers do not conflict.

        Source: SQuAD's token F1. The low threshold only detects answers to another question.
        """
        a, b = (Counter(normalized(t, example.language).split()) for t in (left, right))
        shared = (a & b).total()
        numbers, others = ({w for w in words if w[-1:].isdigit()} for words in (a, b))
        agree = numbers <= others or others <= numbers
        return agree and bool(shared) and 2 * shared / (a.total() + b.total()) >= self.OVERLAP

    def is_given_away(self, example: Example) -> bool:
        """Whether the question contains the answer word for word, and mostly consists of it."""
        answer = normalized(example.answer, example.language)
        question = normalized(example.question, example.language)
        return question_holds_answer(example) and 2 * len(answer) > len(question)


ANSWER = FreeForm()
