"""Gate: the judge found nothing wrong with the row."""

from __future__ import annotations

from functools import partial

from pydantic import Field

from sdg_assets.gates.base import Cost, EachRow, GateSpec, Point
from sdg_assets.records import EnrichedExample, Example, Refusal
from sdg_assets.thresholds import OwnThresholds

NAME = "judge"


class JudgeThresholds(OwnThresholds):
    """The least scores, each from 0 to 1."""

    judge_score: float = Field(default=0.5, ge=0, le=1, description="least score of a judgement")
    judge_criterion: float = Field(default=0.5, ge=0, le=1, description="least score on each one")


def gate(thresholds: JudgeThresholds) -> EachRow:
    """Refuses rows whose score, or whose score on one criterion, is too low.

    A row without a judgement passes: judging is switched off. One whose judgement could not be read
    has the score 0 and is refused as such.

    Args:
        thresholds: The least scores.
    """
    return EachRow(NAME, partial(_judge, thresholds))


def _judge(thresholds: JudgeThresholds, row: Example) -> Refusal | None:
    assert isinstance(row, EnrichedExample)
    if row.judge is None:
        return None
    said = "; ".join(row.judge.reasons)
    scores = row.judge.criteria.model_dump() if row.judge.criteria else {}
    all_scores = {"score": row.judge.score, **scores}
    if not row.judge.is_readable:
        return Refusal(NAME, "unreadable judgement", said, all_scores)
    low = [name for name, score in scores.items() if score < thresholds.judge_criterion]
    if low:
        return Refusal(NAME, f"not {low[0].replace('_', ' ')}", said, all_scores)
    if row.judge.score < thresholds.judge_score:
        return Refusal(NAME, "low score", said, all_scores)
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
