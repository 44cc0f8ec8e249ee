"""Check `complete`: no budget of tokens ended the partition before all its rows were made."""

from __future__ import annotations

from sdg_assets.checks.check import Check
from sdg_assets.checks.outcome import CheckOutcome
from sdg_assets.checks.tally import Tally


def evaluate(tally: Tally) -> CheckOutcome:
    """Warns if rows are left out because the budget was used up."""
    left, rows = tally.unfinished, tally.seen + tally.unfinished
    summary = f"all {rows} rows are finished"
    if left:
        summary = (
            f"the budget of tokens was used up: {left} of {rows} rows are not finished. "
            "Materialize the partition again without sdg/max_tokens, or with a larger one: only "
            "what is missing is asked for"
        )
    return CheckOutcome(
        name=CHECK.name,
        passed=not left,
        summary=summary,
        numbers={"rows": rows, "unfinished": left},
    )


CHECK = Check(
    name="complete",
    description="no budget of tokens ended the partition before all its rows were made",
    evaluate=evaluate,
)
