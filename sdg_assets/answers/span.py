"""A phrase that the context contains word for word."""

from __future__ import annotations

import random

from sdg_assets.answers.base import (
    Draft,
    DraftError,
    context_fields,
    context_of,
    with_context,
)
from sdg_assets.answers.extraction import heads, normalized, unwrap
from sdg_assets.answers.short_text import ShortText
from sdg_assets.records import Content, Example


class SpanDraft(Draft):
    """The answer is copied from the passage."""

    answer: str


class Span(ShortText):
    """Compared like short text; must be contained in the context."""

    name = "span"
    default_frame = "A passage and a question whose answer stands in it word for word."

    def draft_model(self, anchor: Example) -> type[Draft]:
        """Passage, question, span."""
        return with_context(SpanDraft, anchor)

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
        """Rejects an answer that the passage does not contain."""
        content = super().assemble(draft, anchor, rng)
        if not _stands_in(content.answer, context_of(draft)):
            raise DraftError("answer is not in the context")
        return content

    def trimmed(self, phrase: str, example: Example) -> str:
        """The longest beginning of the phrase that the context contains."""
        beginnings = (unwrap(head) for head in heads(phrase))
        whole = super().trimmed(phrase, example)
        return next((head for head in beginnings if _stands_in(head, example.context)), whole)

    def check(self, example: Example) -> str | None:
        """Whether the context contains the span."""
        return None if _stands_in(example.answer, example.context) else "answer is not in context"

    def is_given_away(self, example: Example) -> bool:
        """Never: the passage always contains the answer."""
        return False


def _stands_in(answer: str, context: str) -> bool:
    return answer in context or f" {normalized(answer)} " in f" {normalized(context)} "


ANSWER = Span()
