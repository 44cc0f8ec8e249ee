"""`seeds`: the raw rows of the training split."""

from sdg_assets.assets.knobs import SeedConfig
from sdg_assets.assets.partition_context import PartitionContext
from sdg_assets.assets.wiring import Wiring
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.stages.seeds import collect_seeds, shortfall


def _seeds(partition: PartitionContext, config: SeedConfig) -> PartitionReport:
    spec, source = partition.spec, partition.source
    cap = config.max_seeds or partition.settings.max_seeds
    rows_in_split: list[int] = []
    rows = collect_seeds(spec, source, cap, count=rows_in_split.append)
    report = partition.publish(rows, config, seeds_requested=cap)
    # As text: the catalog's number does not change, so the UI need not plot it.
    report.metadata |= {"rows_in_split": rows_in_split[0], "rows_declared": f"{spec.rows or 0:,}"}
    # The embedded samples replace a full split, so their lower number needs no warning.
    short = shortfall(spec, rows_in_split[0]) if source.name != "samples" else None
    if short:
        partition.step.log.warning(short)
        report.metadata["shortfall"] = short
    return report


WIRING = Wiring(SeedConfig, _seeds)
