"""Gate: a row is well-formed: its parts are present and agree with its answer kind."""

from __future__ import annotations

from sdg_assets.answers import answer_format
from sdg_assets.gates.base import Cost, EachRow, GateSpec, Point
from sdg_assets.records import Example, Refusal, Stage
from sdg_assets.thresholds import NoThresholds

NAME = "schema"


def refusal_of(row: Example) -> Refusal | None:
    """Refuses an empty question or answer, and any problem that the answer kind's check finds."""
    if not row.question.strip():
        return Refusal(NAME, "empty question")
    if not row.answer.strip():
        return Refusal(NAME, "empty answer")
    problem = answer_format(row.answer_kind).check(row)
    return Refusal(NAME, problem) if problem else None


GATE = GateSpec(
    name=NAME,
    rank=10,
    cost=Cost.FIELDS,
    points=frozenset({Point.SEED, Point.DRAFT, Point.ROW}),
    thresholds=NoThresholds,
    build=lambda _: EachRow(NAME, refusal_of),
    checked_in=(Stage.NORMALIZED, Stage.GENERATED, Stage.ENRICHED, Stage.FILTERED),
    description="rows are well-formed: question, answer and choices are present and agree",
    counts_unread=True,
)
