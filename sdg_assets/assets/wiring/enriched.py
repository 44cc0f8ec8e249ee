"""`enriched`: the solver's votes, then scores and background for the rows that votes verified."""

from sdg_assets.assets.knobs import SolverConfig
from sdg_assets.assets.partition_context import PartitionContext
from sdg_assets.assets.wiring import Wiring
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.records import Example, GeneratedExample, Role, Stage
from sdg_assets.stages.enriched import EnrichmentReport, enrich
from sdg_assets.stages.stage import STAGES
from sdg_assets.teacher.conversation import Usage, converse


def _enriched(partition: PartitionContext, config: SolverConfig) -> PartitionReport:
    knobs = config.knobs(partition.settings)
    usage, enrichment = Usage(), EnrichmentReport()
    seed_ids = {row.seed_ids[0] for row in partition.read(Stage.GENERATED, GeneratedExample)}
    normalized = partition.read(Stage.NORMALIZED, Example)
    seeds = {seed.id: seed for seed in normalized if seed.id in seed_ids}
    progress = partition.progress(partition.store.manifest(partition.key(Stage.GENERATED)).rows)
    with partition.desks(*STAGES[partition.stage].roles) as desks:
        conversations = enrich(
            partition.read(Stage.GENERATED, GeneratedExample),
            desks[Role.SOLVER].teacher,
            knobs,
            partition.judge(desks, seeds),
            enrichment,
            partition.thresholds,
        )
        concurrency = partition.settings.concurrency
        rows = converse(conversations, desks, usage, concurrency=concurrency, on_progress=progress)
        report = partition.publish(rows, config, usage=usage)
    report.teachers |= {role: desk.teacher.identity for role, desk in desks.items()}
    report.metadata |= enrichment.numbers()
    if not knobs.accept_corrections:
        del report.metadata["answers_corrected"]  # it would always be 0
    return report


WIRING = Wiring(SolverConfig, _enriched)
