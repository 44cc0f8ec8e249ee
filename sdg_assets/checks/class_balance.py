"""Check `class_balance`: rows with one answer are not refused far more often than the others.

A gate that misreads the words that all rows of a task share can refuse a whole class, such as all
rows with the answer "positive". Every other check stays green, because the remaining rows are
well-formed and clean; they only have one answer. So refusals are counted by answer for all answer
kinds whose answers repeat: yes or no, labels, and options that all rows share.
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
        description="by how much the refused share of the rows with one answer may exceed that of "
        "all other rows; for labels, yes or no, and options that all rows share",
    )


def evaluate(tally: Tally) -> CheckOutcome:
    """Compares how often each answer is refused: an error in `normalized`, a warning in `filtered`.

    Seeds are refused because they repeat another row, which does not depend on their answer. So if
    a class of seeds disappears, a gate is wrong, and every later stage would be one-sided. Written
    rows may be worse for one class than for the others.
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
    description="no answer is refused far more often than the others",
    evaluate=evaluate,
    thresholds=ClassBalanceThresholds,
)
