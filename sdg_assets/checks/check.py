"""The type of checks that do not belong to a gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sdg_assets.checks.outcome import CheckOutcome
from sdg_assets.checks.tally import Tally
from sdg_assets.thresholds import NoThresholds, OwnThresholds


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check that does not belong to a gate. The stage table lists the stages that have it."""

    name: str
    description: str
    """What is true of a partition that passes the check. Dagster shows it."""
    evaluate: Callable[[Tally], CheckOutcome] | None = None
    """None: the asset that makes the partition evaluates the check."""
    thresholds: type[OwnThresholds] = NoThresholds
    """The thresholds that the check owns."""
    needs_rows: bool = True
    """Whether the check cannot be evaluated without rows, so that an empty partition fails it."""
