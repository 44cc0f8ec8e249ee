"""How many rows may fail to become an example, and how many seeds a gate may refuse."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from sdg_assets.checks.outcome import CheckOutcome
from sdg_assets.checks.tally import Tally
from sdg_assets.stages.stage import STAGES
from sdg_assets.thresholds import OwnThresholds

MIN_PARSED = 0.5
"""The smallest share of a writer's completions that must be parsed."""


class SeedThresholds(OwnThresholds):
    """How much of a dataset may be unusable, as shares of its rows."""

    limits: ClassVar[frozenset[str]] = frozenset({"mapping_failures", "broken_seeds"})

    mapping_failures: float = Field(
        default=0.02, ge=0, le=1, description="share of a task's rows that its record may not fit"
    )
    # Real datasets have malformed rows: 1.2% of commonsense_qa list an option twice. A larger
    # share means that the mapping is wrong.
    broken_seeds: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="share of a task's mapped rows that a gate of `normalized` may refuse: "
        "malformed, broken text, another language",
    )


def unread_rows(tally: Tally, check: str) -> CheckOutcome | None:
    """Compares the rows that could not be read as examples with the share that is allowed.

    Args:
        tally: The counts of the stage's rows.
        check: The name of the check that counts these rows.

    Returns:
        None for a stage whose inputs are examples already.
    """
    spec = STAGES[tally.stage]
    if spec.maps_seeds:
        step, allowed = "mapping", tally.thresholds.of(SeedThresholds).mapping_failures
    elif spec.writes_examples:
        step, allowed = "generation", 1 - MIN_PARSED
    else:
        return None
    failed = tally.rejected[step]
    return CheckOutcome(
        name=check,
        passed=failed <= allowed * tally.seen and tally.seen > 0,
        summary=f"{failed} of {tally.seen} rows refused by {step}; see the rejected file",
        numbers={f"{step}_refused": failed, "rows": tally.seen},
        offenders=tally.offenders_of(step),
    )
