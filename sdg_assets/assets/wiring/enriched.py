"""`enriched`: the solver's votes, then scores and background for the rows that votes verified."""

from collections.abc import Iterator

from sdg_assets.assets.filling import Filling, TeacherWiring
from sdg_assets.assets.knobs import SolverConfig
from sdg_assets.assets.partition_context import PartitionContext
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.records import Example, GeneratedExample, Rejection, Role, Stage
from sdg_assets.stages.enriched import (
    EnrichmentReport,
    Solved,
    context_of,
    enrich,
    publish,
)
from sdg_assets.stages.stage import STAGES
from sdg_assets.teacher.conversation import Desks, Usage, Work
from sdg_assets.teacher.replay import replay


def _ask(partition: PartitionContext, config: SolverConfig, desks: Desks) -> Filling:
    knobs = config.knobs(partition.settings)
    seed_ids = {row.seed_ids[0] for row in partition.read(Stage.GENERATED, GeneratedExample)}
    normalized = partition.read(Stage.NORMALIZED, Example)
    seeds = {seed.id: seed for seed in normalized if seed.id in seed_ids}
    judge, solver = partition.judge(desks, seeds), desks[Role.SOLVER].teacher
    runs_programs = partition.spec.answer_kind.policy.runs_programs

    def works() -> Iterator[Work[Solved | Rejection]]:
        written = partition.read(Stage.GENERATED, GeneratedExample)
        return enrich(written, solver, knobs, judge)

    def publish_partition(usage: Usage) -> PartitionReport:
        enrichment, logs = EnrichmentReport(), {role: desk.log for role, desk in desks.items()}
        solved = replay(works(), logs, runs_programs=runs_programs)
        context = context_of(solver, knobs, judge)
        rows = publish(solved, context, enrichment, partition.thresholds)
        report = partition.publish(rows, config, usage=usage)
        report.teachers |= {role: desk.teacher.identity for role, desk in desks.items()}
        report.metadata |= enrichment.numbers()
        if not knobs.accept_corrections:
            del report.metadata["answers_corrected"]  # it would always be 0
        return report

    total = partition.store.manifest(partition.key(Stage.GENERATED)).rows
    return Filling(works(), total, publish_partition, runs_programs)


WIRING = TeacherWiring(SolverConfig, lambda _: STAGES[Stage.ENRICHED].roles, _ask)
