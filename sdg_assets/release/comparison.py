"""A release's final contamination gate: its rows against everything that is held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.gates import Gate
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.nearest import NearestRows
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.protection import Protection
from sdg_assets.records import Stage
from sdg_assets.release.audit import Compared, NearRow
from sdg_assets.stages.stage import key_of
from sdg_assets.stages.training_rows import training_rows
from sdg_assets.store.partitions import Store
from sdg_assets.thresholds import Thresholds


class Comparison:
    """Runs the contamination gate once more: held-out data may have grown since `filtered`."""

    def __init__(
        self, protection: Protection, specs: Mapping[str, SubtaskSpec], store: Store
    ) -> None:
        """Compares nothing yet.

        Args:
            protection: The hashes of everything that is held out.
            specs: Partition → its subtask.
            store: Holds the subtasks' training rows, which tell how rare each n-gram is.
        """
        self._protection = protection
        self._store = store
        self._specs = specs
        self._gates: dict[str, Contamination] = {}
        self._nearest = NearestRows()

    def gates_of(self, partition: str, thresholds: Thresholds) -> Sequence[Gate]:
        """The contamination gate for the rows of a partition.

        Args:
            partition: The partition's name.
            thresholds: The thresholds of the partition's task.
        """
        spec = self._specs[partition]
        own = f"{spec.task}/{spec.key}"
        index = self._protection.index
        background = index.background(training_rows(spec, self._store))
        limits = thresholds.of(ContaminationThresholds)
        self._gates[partition] = Contamination(index, limits, own, background, self._nearest)
        return [self._gates[partition]]

    def audit(self) -> list[Compared]:
        """How near the rows come to every held-out collection, here or in `filtered`."""
        refused, suspicious, contexts = Counter[str](), Counter[str](), Counter[str]()
        rows = 0
        for name, gate in self._gates.items():
            rows += gate.report.rows
            for benchmark, overlap in gate.report.benchmarks.items():
                refused[benchmark] += overlap.refused
                suspicious[benchmark] += overlap.suspicious
                contexts[benchmark] += overlap.shared_contexts
            before = self._store.manifest(key_of(self._specs[name], Stage.FILTERED)).info
            contamination = before.get("contamination", {})
            rows += int(contamination.get("refused", 0))
            for benchmark, counts in contamination.get("benchmarks", {}).items():
                refused[benchmark] += int(counts["refused"])
        least = max((gate.least_score for gate in self._gates.values()), default=0.0)
        sizes = self._protection.index.sizes()
        return [
            Compared(
                name,
                refused[name],
                suspicious[name],
                contexts[name],
                rows,
                sizes.get(name, 0),
                least,
                [NearRow(*near) for near in self._nearest.of(name)],
            )
            for name in sorted({*self._protection.against, *refused})
        ]
