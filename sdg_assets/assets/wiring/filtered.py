"""`filtered`: the rows that all gates accept."""

from collections.abc import Iterator

from sdg_assets.assets.knobs import StageConfig
from sdg_assets.assets.partition_context import PartitionContext
from sdg_assets.assets.wiring import Wiring
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.gates import row_gates, set_gates, signatures_of
from sdg_assets.records import EnrichedExample, Example, Role, Stage
from sdg_assets.stages.filtered import filter_rows


def _filtered(partition: PartitionContext, config: StageConfig) -> PartitionReport:
    thresholds, heldout = partition.thresholds, partition.guard.gate
    sets = set_gates(thresholds, lambda: partition.read(Stage.NORMALIZED, Example))
    teachers: dict[Role, set[str]] = {role: set() for role in Role}

    def rows_with_teachers_noted() -> Iterator[EnrichedExample]:
        for row in partition.read(Stage.ENRICHED, EnrichedExample):
            judge = row.judge and row.judge.judge
            stamps = {Role.WRITER: row.teacher, Role.SOLVER: row.solver, Role.JUDGE: judge}
            stamps[Role.PROBE] = row.probe
            for role, stamp in stamps.items():
                if stamp:
                    teachers[role].add(f"{stamp.model}@{stamp.revision}")
            yield row

    passed_in = [partition.paraphrases] if partition.paraphrases else []
    gates = row_gates(thresholds, heldout, passed_in=passed_in)
    rows = filter_rows(rows_with_teachers_noted, gates, sets)
    report = partition.publish(rows, config, signatures=lambda: signatures_of(sets))
    report.metadata |= {r.value: ", ".join(sorted(names)) for r, names in teachers.items() if names}
    return report


WIRING = Wiring(StageConfig, _filtered)
