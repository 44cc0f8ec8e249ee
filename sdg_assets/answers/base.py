"""What an answer kind must know: how to ask for it, extract it, compare it and check it.

A kind is a subclass of `AnswerFormat` in a module of its own that exports an instance as `ANSWER`.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, create_model

from sdg_assets.answers.wording import normalized
from sdg_assets.errors import SdgError
from sdg_assets.kinds import AnswerPolicy
from sdg_assets.records import Content, Example, Proof


class DraftError(SdgError):
    """A writer's draft that cannot become an example; the message is the rejection's reason."""


class Draft(BaseModel):
    """What the writer returns: JSON whose schema the engine enforces. Each kind subclasses it.

    Fields come in the order in which they should be thought of: the passage before the question,
    the working before the answer.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    question: str


class AnswerFormat(AnswerPolicy, ABC):
    """One answer kind. Stateless.

    What it does is a method here; what is special about it as data is an attribute of
    `AnswerPolicy`. The rest of the pipeline asks these and never which kind it has.
    """

    needs_proof: ClassVar[bool] = False
    """Whether a verified row must say what its tests can tell: see `proof`."""

    @abstractmethod
    def draft_model(self, anchor: Example) -> type[Draft]:
        """The form of a draft that imitates the anchor: same choices count, context or not."""

    @abstractmethod
    def draft_of(self, example: Example) -> Draft:
        """An example written as the draft that would have made it: the few-shot form."""

    @abstractmethod
    def assemble(self, draft: Draft, anchor: Example, rng: random.Random) -> Content:
        """Makes an example's content of a draft.

        Args:
            draft: An instance of `draft_model(anchor)`.
            anchor: The seed it imitates.
            rng: Source of every choice made here (the options' order), so a rerun repeats it.

        Raises:
            DraftError: The draft contradicts itself.
        """

    @abstractmethod
    def extract(self, text: str, example: Example) -> str | None:
        """The answer in a solver's free text, in the example's own terms.

        Args:
            text: The completion: reasoning that ends in an answer.
            example: The question as it was asked, choices in the order the solver saw.

        Returns:
            The answer (an option's text, a number, a program), or None if there is none.
        """

    @abstractmethod
    def same(self, left: str, right: str, example: Example) -> bool:
        """Whether two answers to the question mean the same."""

    def proof(self, example: Example) -> Proof | None:
        """What the example's own tests can tell a wrong answer by.

        Returns:
            None for a kind without tests, and where the answer fails them.
        """
        return None

    def check(self, example: Example) -> str | None:
        """Why an example of this kind is malformed; None if it is not."""
        return None

    def is_given_away(self, example: Example) -> bool:
        """Whether the question says its own answer, other than as one of two to choose from."""
        if not question_holds_answer(example):
            return False
        return " or " not in normalized(example.question, example.language)

    def recognizes(self, choices: Sequence[str]) -> bool:
        """Whether the choices of a dataset show that its questions are of this kind.

        The draft of a new seed task names the first kind that recognizes them.

        Args:
            choices: What every question has to choose from, in lower case.
        """
        return False


def question_holds_answer(example: Example) -> bool:
    """Whether the answer stands in the question word for word, and is too long for chance."""
    answer = normalized(example.answer, example.language)
    question = normalized(example.question, example.language)
    return len(answer) > 3 and f" {answer} " in f" {question} "


def with_context(model: type[Draft], anchor: Example) -> type[Draft]:
    """A draft model with a `context` field first, where the anchor has a context."""
    if not anchor.context:
        return model
    fields = {name: (info.annotation, info) for name, info in model.model_fields.items()}
    return create_model(  # type: ignore[no-any-return, call-overload]
        f"{model.__name__}WithContext", __base__=_ContextDraft, **fields
    )


class _ContextDraft(Draft):
    context: str


def context_of(draft: Draft) -> str:
    """The passage a draft brought along; empty if its form has none."""
    return draft.context if isinstance(draft, _ContextDraft) else ""


def context_fields(example: Example) -> dict[str, str]:
    """The `context` argument of a draft, where the example has one."""
    return {"context": example.context} if example.context else {}
