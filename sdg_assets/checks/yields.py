"""Checks that enough rows were accepted by the gates and verified by the solver."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from sdg_assets.checks.check import Check
from sdg_assets.checks.outcome import CheckOutcome, share_outcome
from sdg_assets.checks.tally import Tally
from sdg_assets.records import VoteFault

VOTE_FAULTS: tuple[VoteFault, ...] = get_args(VoteFault)
MIN_AGREED = 0.2
"""The smallest share of the rows of `enriched` that must be verified."""


def accepted(tally: Tally) -> CheckOutcome:
    """Tests whether the share of accepted rows is at least `SDG_MIN_YIELD`."""
    gate = next(iter(tally.rejected.most_common(1)), ("", 0))[0]
    outcome = share_outcome(
        YIELD.name,
        tally.rows,
        tally.seen,
        least=tally.min_yield,
        verb="accepted",
        advice=tally.reasons_of(gate) if gate else "no row came in",
    )
    if outcome.passed:
        return outcome
    return outcome.model_copy(update={"offenders": tally.offenders_of(gate)})


def verified(tally: Tally) -> CheckOutcome:
    """Tests whether the share of verified rows is at least `MIN_AGREED`."""
    outcome = share_outcome(
        ANSWER_VERIFICATION.name,
        tally.verified,
        tally.rows,
        least=MIN_AGREED,
        verb="verified",
        advice=_advice(tally),
    )
    if outcome.passed:
        return outcome
    return outcome.model_copy(update={"offenders": list(tally.unverified)})


def _advice(tally: Tally) -> str:
    """What to do if too few rows are verified: it depends on what most of the others lack."""
    cut_off = Counter({o: n for o, n in tally.outcome_counts().items() if o in VOTE_FAULTS})
    if 2 * cut_off.total() <= tally.rows - tally.verified:
        return "use a stronger solver, or look at the votes of the rows below"
    ends = ", ".join(f"{end.replace('_', ' ')} {count}" for end, count in cut_off.most_common())
    return (
        f"the votes on {cut_off.total()} were cut off ({ends}): raise the limit that they met, "
        "see A teacher that thinks in docs/operations.md"
    )


YIELD = Check(
    name="yield",
    description="enough rows were accepted",
    evaluate=accepted,
    needs_rows=False,
)
ANSWER_VERIFICATION = Check(
    name="answer_verification",
    description="the majority of blind votes agrees with the writer often enough",
    evaluate=verified,
    needs_rows=False,
)
