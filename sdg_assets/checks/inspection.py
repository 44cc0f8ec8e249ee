"""Evaluates the checks of a stage on its rows while they are written.

A broken invariant keeps the partition from being published. A missed threshold is a warning.
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
    """A tally that also tests the accepted rows with the gates whose checks the stage has."""

    heldout: Gate | None = None
    """The contamination gate. Without it, its check fails and says that nothing was checked."""
    _gates: GateChecks = field(init=False)
    _pending: list[Example] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Builds the gates."""
        self._gates = GateChecks(self, self.heldout)

    def see(self, row: Record) -> None:
        """Counts and tests an accepted or refused row."""
        self.count(row)
        if isinstance(row, Rejection):
            self._gates.see_refused(row)
        elif isinstance(row, Example):
            self._pending.append(row)
            if len(self._pending) >= ROWS_PER_BATCH:
                self._test_pending()

    def outcomes(self, signatures: Signatures | None = None) -> list[CheckOutcome]:
        """The outcome of each check of the stage. Called once, after the last row.

        Args:
            signatures: The rows' signatures, if they will be published with the rows.
        """
        self._test_pending()
        self._gates.close(signatures)
        return [self._outcome(name) for name in stage_checks(self.stage)]

    def _test_pending(self) -> None:
        rows, self._pending = self._pending, []
        self._gates.see(rows)

    def _outcome(self, name: str) -> CheckOutcome:
        check = CHECKS.get(name)
        if not self.rows and (check is None or check.needs_rows):
            return CheckOutcome(name=name, passed=False, summary="not checked: there are no rows")
        if check is None:
            return self._gates.outcome(name)
        assert check.evaluate, f"the asset that makes the partition must evaluate {name}"
        return check.evaluate(self)
