"""Check `rows`: a partition has rows, and not far fewer than the version that it replaces.

`checks/losses.py` has the comparison.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from sdg_assets.checks.check import Check
from sdg_assets.checks.losses import Standing, compare
from sdg_assets.checks.outcome import CheckOutcome
from sdg_assets.checks.tally import Tally
from sdg_assets.stages.stage import STAGES
from sdg_assets.thresholds import OwnThresholds

BUDGET = "the budget of tokens was used up"
"""The reason why rows are lost that no teacher was asked for."""


class LossThresholds(OwnThresholds):
    """How much a new version of a partition may lose."""

    lost_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of its rows that a partition may lose compared with the version it "
        "replaces, beyond what a smaller input explains; 1 allows any loss",
    )


def evaluate(tally: Tally) -> CheckOutcome:
    """Compares the rows with those of the published version."""
    reasons = {f"{gate}: {reason}": n for (gate, reason), n in tally.reasons.items()}
    now = Standing.of(tally.stage, tally.rows, reasons, tally.verified, tally.outcome_counts())
    if tally.unfinished:
        refused = {**now.refused, BUDGET: tally.unfinished}
        now = replace(now, seen=now.seen + tally.unfinished, refused=refused)
    has_all_requested = tally.requested is not None and tally.rows >= tally.requested
    if not STAGES[tally.stage].inputs and tally.before and not has_all_requested:
        # The input is the dataset's split. A smaller split is an error, not an explanation.
        now = replace(now, seen=max(now.seen, tally.before.seen))
    share = tally.thresholds.of(LossThresholds).lost_share
    compared = compare(tally.before, now, share, accepted=tally.accept_smaller)
    return CheckOutcome(name=CHECK.name, blocking=not compared.passed, **vars(compared))


CHECK = Check(
    name="rows",
    description="the partition has rows, and not far fewer than the version that it replaces",
    evaluate=evaluate,
    thresholds=LossThresholds,
    needs_rows=False,
)
