"""One right option among plausible wrong ones."""

from __future__ import annotations

import random
import re
from functools import lru_cache
from typing import Any, cast

from pydantic import Field, create_model

from sdg_assets.answers.base import (
    Draft,
    DraftError,
    context_fields,
    context_of,
    with_context,
)
from sdg_assets.answers.extraction import normalized
from sdg_assets.answers.selection import SelectionFormat, arranged
from sdg_assets.answers.wording import ends_in_abbreviation, typography
from sdg_assets.records import Content, Example

# `normalized` drops what tells these choices apart: its and it's, p ∧ q and p ∨ q, f(x) and f'(x),
# the genotypes Ww and ww. A symbol has one or two letters; "a" before a word is an article.
_SYMBOL = re.compile(r"[^\w\s.,;:?\"“”]|\b(?!(?i:an?)\s)[^\W\d_]{1,2}\b")


class MultipleChoiceDraft(Draft):
    """The right answer and the wrong ones apart, so that no letter and no position is involved."""

    answer: str
    wrong_answers: list[str]


class MultipleChoice(SelectionFormat):
    """`choices` hold texts; the writer never sees letters and never places the answer."""

    name = "multiple_choice"
    default_frame = "A question with several options, exactly one of which is right."
    choices = "written"
    is_first_guess = True

    def draft_model(self, anchor: Example) -> type[Draft]:
        """A draft with as many wrong answers as the anchor."""
        return with_context(_model(len(anchor.choices) - 1), anchor)

    def draft_of(self, example: Example) -> Draft:
        """The right answer, and the wrong ones in the example's order."""
        wrong = [c for i, c in enumerate(example.choices) if i != example.answer_index]
        return self.draft_model(example).model_validate(
            {
                **context_fields(example),
                "question": example.question,
                "answer": example.answer,
                "wrong_answers": wrong,
            }
        )

    def assemble(self, draft: Draft, anchor: Example, rng: random.Random) -> Content:
        """Shuffles right and wrong answers.

        If only some end in a full stop, all full stops are removed: they would hint at the answer.
        An abbreviation keeps its own.

        Raises:
            DraftError: Two choices differ in articles, punctuation or the case of words at most.
        """
        made = draft.model_dump()
        choices = [made["answer"], *made["wrong_answers"]]
        stopped = [c.endswith(".") and not ends_in_abbreviation(c) for c in choices]
        if 0 < sum(stopped) < len(choices):
            choices = [c[:-1] if s else c for c, s in zip(choices, stopped, strict=True)]
        answer = choices[0]
        if len(set(map(_told_apart, choices))) < len(choices):
            raise DraftError("repeated choices")
        choices = arranged(choices, rng)
        return Content(
            question=draft.question,
            answer=answer,
            context=context_of(draft),
            choices=choices,
            answer_index=choices.index(answer),
        )


def _told_apart(choice: str) -> tuple[str, ...]:
    """A folded choice with its signs and symbols: `WW or Ww` and `WW or ww` are two choices."""
    return normalized(choice), *_SYMBOL.findall(typography(choice))


@lru_cache(maxsize=64)  # pydantic takes a millisecond to build a class
def _model(wrong: int) -> type[Draft]:
    fields: Any = {"wrong_answers": (list[str], Field(min_length=wrong, max_length=wrong))}
    model = create_model("MultipleChoiceDraft", __base__=MultipleChoiceDraft, **fields)
    return cast("type[Draft]", model)


ANSWER = MultipleChoice()
