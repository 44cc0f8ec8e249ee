"""Where the gates draw their lines. Data: a task's YAML may move them, the environment too."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sdg_assets.examples import AnswerKind


def _ordered(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound comes first")
    return bounds


Bounds = Annotated[tuple[int, int], AfterValidator(_ordered)]


class Thresholds(BaseModel):
    """The numbers of all gates; `gates:` of a task's YAML and `SDG_GATES` (JSON) use these names.

    A task's own value counts before the environment's, and that before the default here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question_chars: Bounds = (8, 4000)
    answer_chars: int = Field(default=600, ge=1, description="all kinds but the next two")
    long_answer_chars: int = Field(default=8000, ge=1, description="code and free-form answers")
    judge_score: float = Field(default=0.5, ge=0, le=1, description="least score of a judgement")
    judge_criterion: float = Field(default=0.5, ge=0, le=1, description="least score on each one")
    near_duplicate_similarity: float = Field(
        default=0.5, ge=0.5, le=1, description="of two questions with equal answers and numbers"
    )
    near_duplicate_similarity_weak_answer: float = Field(
        default=0.6, ge=0.5, le=1, description="the same for booleans, labels, code and free form"
    )

    def longest_answer(self, kind: AnswerKind) -> int:
        """Characters that an answer of this kind may have."""
        long = kind in (AnswerKind.CODE, AnswerKind.FREE_FORM)
        return self.long_answer_chars if long else self.answer_chars


def overridden(*layers: dict[str, Any]) -> Thresholds:
    """The defaults with layers of overrides on top, the last one strongest.

    Raises:
        pydantic.ValidationError: A name that no gate knows, or a value out of range.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
    return Thresholds(**merged)
