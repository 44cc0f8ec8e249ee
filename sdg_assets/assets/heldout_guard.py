"""The contamination gate of one partition and the gate's report for the manifest."""

from collections.abc import Iterable, Mapping
from typing import Any

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.protection import Protection
from sdg_assets.records import Example
from sdg_assets.thresholds import Thresholds


class HeldoutGuard:
    """Compares a partition's rows with all held-out rows and reports the overlaps."""

    def __init__(
        self,
        spec: SubtaskSpec,
        protection: Protection,
        thresholds: Thresholds,
        training: Iterable[Example],
    ) -> None:
        """Determines from the training rows which n-grams are rare in the subtask.

        Args:
            spec: The subtask.
            protection: The held-out splits and benchmarks to compare with.
            thresholds: The thresholds of the subtask's gates.
            training: A sample of the subtask's own training rows.
        """
        self._spec, self._protection = spec, protection
        self._thresholds = thresholds.of(ContaminationThresholds)
        self._background = protection.index.background(training)
        self.gate = self.separate_gate()
        """The gate that the rows go through. `report` counts its refusals and overlaps."""

    @property
    def against(self) -> Mapping[str, str]:
        """The held-out collections with rows → sha256 of their hashes."""
        return self._protection.against

    def separate_gate(self) -> Contamination:
        """An equal gate with a separate report, so that a check does not count rows twice."""
        own = f"{self._spec.task}/{self._spec.key}"
        return Contamination(self._protection.index, self._thresholds, own, self._background)

    def report(self) -> dict[str, Any]:
        """The held-out sets compared with and the overlaps; complete after the last row."""
        return self.gate.report.as_dict() | self._protection.record
