"""Gate: the blind solver's majority gave the row's answer; if it has tests, they can fail."""

from __future__ import annotations

from sdg_assets.answers import answer_format
from sdg_assets.gates.base import Cost, EachRow, GateSpec, Point
from sdg_assets.records import EnrichedExample, Example, Proof, Refusal
from sdg_assets.thresholds import NoThresholds

NAME = "verification"
VACUOUS = "vacuous tests"


def refusal_of(row: Example) -> Refusal | None:
    """Refuses a row whose answer the majority did not give, or whose tests detect no bug."""
    assert isinstance(row, EnrichedExample)
    if row.proof and row.proof.fault:
        return Refusal(NAME, VACUOUS, row.proof.fault, _killed(row.proof))
    if row.verified and not row.proof and answer_format(row.answer_kind).needs_proof:
        return Refusal(NAME, VACUOUS, "the tests were never tried on mutants of the program")
    if row.verified:
        return None
    votes = ", ".join(f"{v.answer!r} x{v.count}" for v in row.votes) or "none"
    if row.votes_cut_off:
        votes += f"; {row.votes_cut_off} of {row.votes_cast} cut off"
    return Refusal(
        NAME,
        row.outcome.replace("_", " "),
        f"answer {row.answer!r}; votes: {votes}",
        {"vote_share": row.vote_share},
    )


def _killed(proof: Proof) -> dict[str, float]:
    return {"mutants": proof.mutants, "mutants_killed": proof.killed}


GATE = GateSpec(
    name=NAME,
    rank=60,
    cost=Cost.FIELDS,
    points=frozenset({Point.ROW}),
    thresholds=NoThresholds,
    build=lambda _: EachRow(NAME, refusal_of),
    reads=EnrichedExample,
    description="the blind solver's majority gave every row's answer",
)
