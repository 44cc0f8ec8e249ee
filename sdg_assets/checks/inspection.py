"""Sees a stage's rows go by while it writes, and says at the end how its checks went.

An invariant that does not hold stops the partition before it is published; a threshold is a
warning that a person looks at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdg_assets.checks.invariants import GateChecks
from sdg_assets.checks.outcome import CheckOutcome
from sdg_assets.checks.table import CHECKS, stage_checks
from sdg_assets.checks.tally import Tally
from sdg_assets.gates import Gate
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.records import Example, Record, Rejection

if TYPE_CHECKING:
    from sdg_assets.signatures.table import Signatures


@dataclass
class Inspection(Tally):
    """A tally that also puts the accepted rows through the gates whose checks the stage has."""

    heldout: Gate | None = None
    """The contamination gate; without it the check says that it checked nothing."""
    _gates: GateChecks = field(init=False)
    _pending: list[Example] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Builds the gates."""
        self._gates = GateChecks(self, self.heldout)

    def see(self, row: Record) -> None:
        """Takes note of an accepted or refused row."""
        self.count(row)
        if isinstance(row, Rejection):
            self._gates.see_refused(row)
        elif isinstance(row, Example):
            self._pending.append(row)
            if len(self._pending) >= ROWS_PER_BATCH:
                self._judge_pending()

    def outcomes(self, signatures: Signatures | None = None) -> list[CheckOutcome]:
        """One outcome for each check of the stage.

        Args:
            signatures: Of the rows seen, where they are to be published with them.
        """
        self._judge_pending()
        self._gates.close(signatures)
        return [self._outcome(name) for name in stage_checks(self.stage)]

    def _judge_pending(self) -> None:
        rows, self._pending = self._pending, []
        self._gates.see(rows)

    def _outcome(self, name: str) -> CheckOutcome:
        check = CHECKS.get(name)
        if not self.rows and (check is None or check.needs_rows):
            return CheckOutcome(name=name, passed=False, summary="not checked: there are no rows")
        if check is None:
            return self._gates.outcome(name)
        assert check.evaluate, f"{name} is evaluated by the asset that makes the partition"
        return check.evaluate(self)
