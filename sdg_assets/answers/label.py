"""One of a fixed set of labels, the same for every question of the subtask."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any, Literal, cast

from pydantic import create_model

from sdg_assets.answers.base import Draft, context_fields, context_of, with_context
from sdg_assets.answers.selection import SelectionFormat
from sdg_assets.records import Content, Example


class Label(SelectionFormat):
    """A draft takes its choices from the anchor, in the same order."""

    name = "label"
    default_frame = "A text to be classified into one of a few given labels."
    choices = "given"
    question_opens_with_frame = True
    is_weak_evidence = True
    answer_in_background = "anywhere"

    def draft_model(self, anchor: Example) -> type[Draft]:
        """A draft whose answer must be one of the labels."""
        return with_context(_model(tuple(anchor.choices)), anchor)

    def draft_of(self, example: Example) -> Draft:
        """The example's own fields."""
        return self.draft_model(example)(
            **context_fields(example), **{"question": example.question, "answer": example.answer}
        )

    def assemble(self, draft: Draft, anchor: Example, rng: random.Random) -> Content:
        """Takes the draft unchanged, with the anchor's choices."""
        answer = draft.model_dump()["answer"]
        return Content(
            question=draft.question,
            answer=answer,
            context=context_of(draft),
            choices=list(anchor.choices),
            answer_index=anchor.choices.index(answer),
        )


@lru_cache(maxsize=1 << 10)  # pydantic takes a millisecond to build a class
def _model(labels: tuple[str, ...]) -> type[Draft]:
    fields: Any = {"answer": (Literal[labels], ...)}
    return cast("type[Draft]", create_model("LabelDraft", __base__=Draft, **fields))


ANSWER = Label()
