"""Gate: the row is neither too hard nor too easy for the probe."""

from __future__ import annotations

from functools import partial

from pydantic import Field, model_validator

from sdg_assets.gates.base import Cost, EachRow, GateSpec, Point
from sdg_assets.records import EnrichedExample, Example, Refusal
from sdg_assets.thresholds import OwnThresholds

NAME = "difficulty"


class DifficultyThresholds(OwnThresholds):
    """The range of pass rates that is kept. The defaults keep all rows."""

    min_pass_rate: float = Field(
        default=0.0, ge=0, le=1, description="lowest accepted share of the probe's right answers"
    )
    max_pass_rate: float = Field(
        default=1.0, ge=0, le=1, description="highest accepted share of the probe's right answers"
    )

    @model_validator(mode="after")
    def _some_rate_is_kept(self) -> DifficultyThresholds:
        if self.min_pass_rate > self.max_pass_rate:
            raise ValueError(
                f"min_pass_rate {self.min_pass_rate:g} is above max_pass_rate "
                f"{self.max_pass_rate:g}: every probed row would be refused"
            )
        return self


def gate(thresholds: DifficultyThresholds) -> EachRow:
    """Refuses rows whose pass rate is out of range.

    A row without a pass rate passes: there is no probe, or all its answers were cut off.

    Args:
        thresholds: The range.
    """
    return EachRow(NAME, partial(_refusal_of, thresholds))


def _refusal_of(thresholds: DifficultyThresholds, row: Example) -> Refusal | None:
    assert isinstance(row, EnrichedExample)
    if row.pass_rate is None or row.probe is None:
        return None
    if thresholds.min_pass_rate <= row.pass_rate <= thresholds.max_pass_rate:
        return None
    is_hard = row.pass_rate < thresholds.min_pass_rate
    right = round(row.pass_rate * row.probe_answers)
    return Refusal(
        NAME,
        "too hard" if is_hard else "too easy",
        f"{right} of {row.probe_answers} answers of {row.probe.model} are right",
        {"pass_rate": row.pass_rate},
    )


GATE = GateSpec(
    name=NAME,
    rank=65,
    cost=Cost.FIELDS,
    points=frozenset({Point.ROW}),
    thresholds=DifficultyThresholds,
    build=gate,
    reads=EnrichedExample,
    description="no row is too hard or too easy for the probe",
)
