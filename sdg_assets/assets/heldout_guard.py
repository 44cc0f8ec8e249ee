"""The contamination gate of one partition, and its report for the manifest."""

from collections.abc import Iterable
from typing import Any

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.protection import Protection
from sdg_assets.records import Example
from sdg_assets.thresholds import Thresholds


class HeldoutGuard:
    """Compares a partition's rows with everything held out, and accounts for it."""

    def __init__(
        self,
        spec: SubtaskSpec,
        protection: Protection,
        thresholds: Thresholds,
        training: Iterable[Example],
    ) -> None:
        """Learns from the training rows which n-grams are rare in the subtask.

        Args:
            spec: The subtask.
            protection: What is held out.
            thresholds: Of the subtask's gates.
            training: A sample of the subtask's own training rows.
        """
        self._spec, self._protection = spec, protection
        self._thresholds = thresholds.of(ContaminationThresholds)
        self._background = protection.index.background(training)
        self.gate = self.separate_gate()
        """The gate that the rows pass. Its refusals and overlaps are what `report` tells."""

    def separate_gate(self) -> Contamination:
        """An equal gate with a report of its own: a check must not add to that of `gate`."""
        own = f"{self._spec.task}/{self._spec.key}"
        return Contamination(self._protection.index, self._thresholds, own, self._background)

    def report(self) -> dict[str, Any]:
        """What was compared with what, and the overlaps; complete once all rows have passed."""
        return self.gate.report.as_dict() | self._protection.record
