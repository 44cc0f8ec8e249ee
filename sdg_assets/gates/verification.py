"""Gate: the blind solver's majority gave the row's answer."""

from __future__ import annotations

from sdg_assets.examples import EnrichedExample, Example
from sdg_assets.gates.base import EachRow, Refusal

NAME = "verification"


def judge(row: Example) -> Refusal | None:
    """Refuses every outcome but `agreed`, and answers that a strong majority corrected."""
    assert isinstance(row, EnrichedExample)
    if row.verified:
        return None
    votes = ", ".join(f"{v.answer!r} x{v.count}" for v in row.votes) or "none"
    return Refusal(
        NAME,
        row.outcome.replace("_", " "),
        f"answer {row.answer!r}; votes: {votes}",
        {"vote_share": row.vote_share},
    )


GATE = EachRow(NAME, judge)
