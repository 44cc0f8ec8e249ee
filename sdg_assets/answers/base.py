"""The interface of an answer kind: how to ask for, extract, compare and check its answers.

Each kind is a subclass of `AnswerFormat` in its own module, which exports an instance as `ANSWER`.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, create_model

from sdg_assets.answers.wording import normalized
from sdg_assets.errors import SdgError
from sdg_assets.kinds import AnswerPolicy
from sdg_assets.records import Content, Example, Proof


class DraftError(SdgError):
    """A writer's draft that cannot become an example; the message is the rejection's reason."""


# The docstrings of drafts are part of their JSON schema, and so of the request ids: changing one
# sends every stored request to the writer again.
class Draft(BaseModel):
    """The writer's reply: JSON whose schema the engine enforces. Each kind subclasses it.

    The fields are in the order in which the writer should think of them: the passage before the
    question, the working before the answer.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    question: str


REASONING_CHARS = 100
"""Fewest characters of reasoning in a constrained vote.

Without a minimum a 1.5B model writes one sentence that only restates the answer.
"""


class AnswerFormat(AnswerPolicy, ABC):
    """One answer kind. Stateless.

    Methods hold the kind's behaviour; attributes (see `AnswerPolicy`) hold its settings. The rest
    of the pipeline uses these and never tests which kind it has.
    """

    needs_proof: ClassVar[bool] = False
    """Whether a verified row must prove that its tests detect wrong answers: see `proof`."""

    @abstractmethod
    def draft_model(self, anchor: Example) -> type[Draft]:
        """The schema of a draft that imitates the anchor.

        It has as many choices as the anchor, and a context if the anchor has one.
        """

    @abstractmethod
    def draft_of(self, example: Example) -> Draft:
        """The draft from which `assemble` would make the example: used for few-shot prompts."""

    @abstractmethod
    def assemble(self, draft: Draft, anchor: Example, rng: random.Random) -> Content:
        """Turns a draft into the content of an example.

        Args:
            draft: An instance of `draft_model(anchor)`.
            anchor: The seed example that the draft imitates.
            rng: The only source of randomness (the order of the options), so that a rerun gives
                the same content.

        Raises:
            DraftError: The draft contradicts itself.
        """

    def vote_schema(self, example: Example) -> dict[str, Any] | None:
        """The JSON schema of a constrained vote: `reasoning`, then `answer`.

        The order matters, because the engine fills the fields in: a vote must think before it
        answers.

        Args:
            example: The question as the solver sees it.

        Returns:
            None if an answer of this kind does not fit into a JSON text (a program, prose).
        """
        answer: dict[str, Any] = {"type": "string"}
        if self.selects:
            answer["enum"] = list(example.choices)
        return {
            "type": "object",
            "properties": {
                "reasoning": {"type": "string", "minLength": REASONING_CHARS},
                "answer": answer,
            },
            "required": ["reasoning", "answer"],
            "additionalProperties": False,
        }

    @abstractmethod
    def extract(self, text: str, example: Example) -> str | None:
        """Finds the final answer in a solver's free text.

        Args:
            text: The completion: reasoning that ends in an answer.
            example: The question as the solver saw it, with the choices in the same order.

        Returns:
            The answer (an option's text, a number, a program), or None if the text has none.
        """

    @abstractmethod
    def same(self, left: str, right: str, example: Example) -> bool:
        """Whether two answers to the question mean the same."""

    def proof(self, example: Example) -> Proof | None:
        """Measures which wrong answers the example's own tests detect.

        Returns:
            None if the kind has no tests, or if the answer fails them.
        """
        return None

    def check(self, example: Example) -> str | None:
        """Why an example of this kind is malformed; None if it is well-formed."""
        return None

    def is_given_away(self, example: Example) -> bool:
        """Whether the question contains its answer, unless it offers two answers with "or"."""
        if not question_holds_answer(example):
            return False
        return " or " not in normalized(example.question, example.language)

    def recognizes(self, choices: Sequence[str]) -> bool:
        """Whether the choices of a dataset show that its questions are of this kind.

        The draft of a new seed task names the first kind that recognizes the choices.

        Args:
            choices: The choices that all questions of the dataset share, in lower case.
        """
        return False


def question_holds_answer(example: Example) -> bool:
    """Whether the question contains the answer word for word.

    Answers of at most three characters do not count: they may occur by chance.
    """
    answer = normalized(example.answer, example.language)
    question = normalized(example.question, example.language)
    return len(answer) > 3 and f" {answer} " in f" {question} "


def with_context(model: type[Draft], anchor: Example) -> type[Draft]:
    """The draft model, with `context` as its first field if the anchor has a context."""
    return _with_context(model) if anchor.context else model


@lru_cache(maxsize=1 << 10)  # pydantic takes a millisecond to build a class
def _with_context(model: type[Draft]) -> type[Draft]:
    fields = {name: (info.annotation, info) for name, info in model.model_fields.items()}
    return create_model(  # type: ignore[no-any-return, call-overload]
        f"{model.__name__}WithContext", __base__=_ContextDraft, **fields
    )


class _ContextDraft(Draft):
    context: str


def context_of(draft: Draft) -> str:
    """The passage of a draft; empty if its model has no `context` field."""
    return draft.context if isinstance(draft, _ContextDraft) else ""


def context_fields(example: Example) -> dict[str, str]:
    """The `context` argument for a draft; no argument if the example has no context."""
    return {"context": example.context} if example.context else {}
