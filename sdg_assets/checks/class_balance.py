"""Whether refusals take one answer of a task far more often than the others.

A gate that misreads a task's frame can take away a whole class, "positive" for one, while every
other check stays green: what is left is well-formed, clean and of one answer. So refusals are
counted by answer wherever answers repeat: yes and no, labels, options that all rows share.
"""

from __future__ import annotations

from pydantic import Field

from sdg_assets.checks.check import Check
from sdg_assets.checks.outcome import CheckOutcome
from sdg_assets.checks.tally import Tally
from sdg_assets.stages.stage import STAGES
from sdg_assets.thresholds import OwnThresholds


class ClassBalanceThresholds(OwnThresholds):
    """How unevenly refusals may be spread over the answers."""

    class_loss: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Share of the rows with one answer that may be refused beyond the share of all "
        "other rows, for labels, yes or no, and options that all rows have.",
    )


def evaluate(tally: Tally) -> CheckOutcome:
    """An error in `normalized`, a warning in `filtered`.

    Seeds are refused because they repeat something, which has nothing to do with their answer:
    a class that vanishes there is a gate's mistake, and every later stage would be one-sided.
    What a writer and a solver make of a class may well be worse than the rest.
    """
    loss = tally.classes.worst()
    if loss is None or loss.excess <= tally.thresholds.of(ClassBalanceThresholds).class_loss:
        return CheckOutcome(name=CHECK.name, passed=True, summary="refusals are spread evenly")
    return CheckOutcome(
        name=CHECK.name,
        passed=False,
        blocking=STAGES[tally.stage].maps_seeds,
        summary=f"{loss}. Look at the rejected rows and the gate that refused them; if they "
        "are rightly refused, raise the threshold `class_loss` in the task's YAML",
        numbers={
            "lost": loss.lost,
            "rows": loss.rows,
            "others_lost": loss.others_lost,
            "others": loss.others,
        },
    )


CHECK = Check(
    name="class_balance",
    description="refusals take no answer far more often than the others",
    evaluate=evaluate,
    thresholds=ClassBalanceThresholds,
)
