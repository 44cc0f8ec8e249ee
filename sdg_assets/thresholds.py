"""Where the gates draw their lines. Data: a task's YAML may move them, the environment too."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sdg_assets.records import AnswerKind


def _ordered(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound comes first")
    return bounds


Bounds = Annotated[tuple[int, int], AfterValidator(_ordered)]
Part = Literal["context", "question", "choices", "answer"]


class Thresholds(BaseModel):
    """The numbers of all gates; `gates:` of a task's YAML and `SDG_GATES` (JSON) use these names.

    A task's own value counts before the environment's, and that before the default here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mapping_failures: float = Field(
        default=0.02, ge=0, le=1, description="share of a task's rows that its record may not fit"
    )
    # Real datasets have odd rows (an option twice in 1.2% of commonsense_qa). With more than this
    # it is the mapping that is odd.
    broken_seeds: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="share of a task's mapped rows that a gate of `normalized` may refuse: "
        "malformed, broken text, another language",
    )
    question_chars: Bounds = (5, 5000)
    context_chars: int = Field(default=30_000, ge=1, description="the longest passage")
    answer_chars: int = Field(default=600, ge=1, description="choices too; all but the next two")
    long_answer_chars: int = Field(default=8000, ge=1, description="code and free-form answers")
    choice_ratio: float = Field(
        default=5, gt=1, description="times as long as any other choice that one may not be"
    )
    repeated_share: float = Field(
        default=0.8, ge=0, le=1, description="of a text's words that it may say again"
    )
    language_parts: frozenset[Part] = Field(
        default=frozenset({"context", "question", "choices", "answer"}),
        description="what must be in the row's language; none: languages are not looked at",
    )
    language_confidence: float = Field(
        default=0.5, ge=0, le=1, description="that it is another language, for a row to be refused"
    )
    personal_data: Literal["report", "refuse"] = Field(
        default="report", description="what e-mail addresses, phone numbers and keys lead to"
    )
    judge_score: float = Field(default=0.5, ge=0, le=1, description="least score of a judgement")
    judge_criterion: float = Field(default=0.5, ge=0, le=1, description="least score on each one")
    near_duplicate_similarity: float = Field(
        default=0.5, ge=0.5, le=1, description="of two questions with equal answers and numbers"
    )
    near_duplicate_similarity_weak_answer: float = Field(
        default=0.6, ge=0.5, le=1, description="the same for booleans, labels, code and free form"
    )

    lost_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of its rows that a partition may lose against the version it replaces, "
        "beyond what a smaller input explains; 1 for any",
    )

    contamination_overlap: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="Share of a held-out question's n-grams, weighted by rarity, that refuses a "
        "row, unless its numbers or its answer are others.",
    )
    contamination_confirmed_overlap: float = Field(
        default=0.3,
        ge=0.2,
        le=1,
        description="The same share for a row that gives the held-out answer too, or has the "
        "held-out context.",
    )
    contamination_suspicion: float = Field(
        default=0.5, ge=0.2, le=1, description="The same share from which an overlap is reported."
    )
    contamination_context_words: int = Field(
        default=0,
        ge=0,
        description="Held-out contexts of at most this many words count as part of the question, "
        "as an NLI premise does: repeating one refuses a row. Longer ones are passages: repeating "
        "one is reported, not refused.",
    )

    class_loss: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Share of the rows with one answer that may be refused beyond the share of all "
        "other rows, for labels, yes or no, and options that all rows have.",
    )

    def longest_answer(self, kind: AnswerKind) -> int:
        """Characters that an answer of this kind may have."""
        return self.long_answer_chars if kind.policy.has_long_answers else self.answer_chars


DEFAULTS = Thresholds()


def overridden(*layers: dict[str, Any]) -> Thresholds:
    """The defaults with layers of overrides on top, the last one strongest.

    Raises:
        pydantic.ValidationError: A name that no gate knows, or a value out of range.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
    return Thresholds(**merged)
