"""Gate: the judge model found nothing wrong with the row."""

from __future__ import annotations

from functools import partial

from pydantic import Field

from sdg_assets.gates.base import Cost, EachRow, GateSpec, Point
from sdg_assets.records import EnrichedExample, Example, Refusal
from sdg_assets.thresholds import OwnThresholds

NAME = "judge"


class JudgeThresholds(OwnThresholds):
    """The lowest scores that are accepted, each from 0 to 1."""

    judge_score: float = Field(default=0.5, ge=0, le=1, description="lowest accepted overall score")
    judge_criterion: float = Field(
        default=0.5, ge=0, le=1, description="lowest accepted score on each criterion"
    )


def gate(thresholds: JudgeThresholds) -> EachRow:
    """Refuses rows whose overall score, or whose score on one criterion, is too low.

    A row without a judgement passes: the judge is switched off. An unreadable judgement has the
    score 0 and is refused as "unreadable judgement".

    Args:
        thresholds: The lowest accepted scores.
    """
    return EachRow(NAME, partial(_refusal_of, thresholds))


def _refusal_of(thresholds: JudgeThresholds, row: Example) -> Refusal | None:
    assert isinstance(row, EnrichedExample)
    if row.judge is None:
        return None
    comments = "; ".join(row.judge.reasons)
    scores = row.judge.criteria.model_dump() if row.judge.criteria else {}
    all_scores = {"score": row.judge.score, **scores}
    if not row.judge.is_readable:
        return Refusal(NAME, "unreadable judgement", comments, all_scores)
    low = [name for name, score in scores.items() if score < thresholds.judge_criterion]
    if low:
        return Refusal(NAME, f"not {low[0].replace('_', ' ')}", comments, all_scores)
    if row.judge.score < thresholds.judge_score:
        return Refusal(NAME, "low score", comments, all_scores)
    return None


GATE = GateSpec(
    name=NAME,
    rank=70,
    cost=Cost.FIELDS,
    points=frozenset({Point.ROW}),
    thresholds=JudgeThresholds,
    build=gate,
    reads=EnrichedExample,
    description="the judge found nothing wrong with any row",
)
