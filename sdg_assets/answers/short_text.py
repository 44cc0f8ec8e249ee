"""A name, date or phrase; several wordings may be right."""

from __future__ import annotations

import random

from pydantic import Field

from sdg_assets.answers.base import (
    AnswerFormat,
    Content,
    Draft,
    context_fields,
    context_of,
    with_context,
)
from sdg_assets.answers.extraction import (
    boxed,
    json_answer,
    last_line,
    marked_answer,
    normalized,
)
from sdg_assets.examples import AnswerKind, Example


class ShortTextDraft(Draft):
    """The answer, and other wordings of it that are right too."""

    answer: str
    aliases: list[str] = Field(max_length=4)


class ShortText(AnswerFormat):
    """Compared by normalized match, aliases included."""

    kind = AnswerKind.SHORT_TEXT

    def draft_model(self, anchor: Example) -> type[Draft]:
        """Question, answer and aliases."""
        return with_context(ShortTextDraft, anchor)

    def draft_of(self, example: Example) -> Draft:
        """At most four aliases are shown: TriviaQA has rows with hundreds."""
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
        """What is marked as the answer, else the last line."""
        for candidate in (marked_answer(text), boxed(text), json_answer(text), last_line(text)):
            if candidate:
                return candidate
        return None

    def same(self, left: str, right: str, example: Example) -> bool:
        """Normalized match, of either or of an alias of the example's own answer."""
        a, b = normalized(left), normalized(right)
        if a == b:
            return True
        known = {normalized(t) for t in (example.answer, *example.aliases)}
        return a in known and b in known


ANSWER = ShortText()
