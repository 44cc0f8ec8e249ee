"""A release's final contamination gate: its rows against everything that is held out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.gates import Gate
from sdg_assets.gates.contamination import Contamination, ContaminationReport
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.protection import Protection
from sdg_assets.records import Stage
from sdg_assets.release.card import Compared
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
        # Only the reports: a gate weighs every n-gram of the index, with 1 byte each.
        self._reports: dict[str, ContaminationReport] = {}

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
        gate = Contamination(index, limits, own, background)
        self._reports[partition] = gate.report
        return [gate]

    def hits(self) -> list[Compared]:
        """The held-out collections that at least one row overlaps with, here or in `filtered`."""
        refused: dict[str, int] = {}
        suspicious: dict[str, int] = {}
        for name, report in self._reports.items():
            for benchmark, overlap in report.benchmarks.items():
                refused[benchmark] = refused.get(benchmark, 0) + overlap.refused
                suspicious[benchmark] = suspicious.get(benchmark, 0) + overlap.suspicious
            for benchmark, count in self._refused_before(self._specs[name]):
                refused[benchmark] = refused.get(benchmark, 0) + count
        return [
            Compared(name, refused.get(name, 0), suspicious.get(name, 0))
            for name in sorted(refused.keys() | suspicious.keys())
            if refused.get(name) or suspicious.get(name)
        ]

    def _refused_before(self, spec: SubtaskSpec) -> Iterator[tuple[str, int]]:
        manifest = self._store.manifest(key_of(spec, Stage.FILTERED))
        for name, overlap in manifest.info.get("contamination", {}).get("benchmarks", {}).items():
            yield name, int(overlap["refused"])
