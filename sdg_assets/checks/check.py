"""What a check is that no gate stands behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sdg_assets.checks.outcome import CheckOutcome
from sdg_assets.checks.tally import Tally
from sdg_assets.thresholds import NoThresholds, OwnThresholds


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check that no gate stands behind. The stage table says which stages have it."""

    name: str
    description: str
    """What holds of a partition that passes, as Dagster shows it."""
    evaluate: Callable[[Tally], CheckOutcome] | None = None
    """None: the asset that makes the partition evaluates it."""
    thresholds: type[OwnThresholds] = NoThresholds
    """The thresholds that it owns."""
    needs_rows: bool = True
    """Whether it says nothing about a partition without rows, and so fails there."""
