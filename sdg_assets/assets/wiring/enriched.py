"""`enriched`: the solver's votes, then scores and background for the rows that votes verified."""

from collections.abc import Iterator

from sdg_assets.assets.filling import Filling, TeacherWiring
from sdg_assets.assets.knobs import SolverConfig
from sdg_assets.assets.partition_context import PartitionContext, PartitionInputs
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.enrichment.judge import Judge
from sdg_assets.records import Example, GeneratedExample, Rejection, Role, Stage
from sdg_assets.stages.enriched import (
    EnrichmentReport,
    Solved,
    context_of,
    enrich,
    publish,
)
from sdg_assets.stages.seed_index import SeedsById
from sdg_assets.stages.stage import STAGES
from sdg_assets.store.row_file import RowFile
from sdg_assets.teacher.conversation import Desks, Usage, Work
from sdg_assets.teacher.replay import replay
from sdg_assets.teacher.share import Share


def _ask(partition: PartitionContext, config: SolverConfig, desks: Desks) -> Filling:
    knobs = partition.solver_knobs(config)
    judge, solver = _judge(partition, desks), desks[Role.SOLVER].teacher
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


def _judge(inputs: PartitionInputs, desks: Desks) -> Judge | None:
    """The judge, with the partition's seeds; None if there is no judge."""
    if Role.JUDGE not in desks:
        return None
    seeds = RowFile(Example, inputs.read(Stage.NORMALIZED, Example))
    return inputs.judge(desks, SeedsById(seeds))


def _share(
    inputs: PartitionInputs, config: SolverConfig, desks: Desks, share: Share
) -> Iterator[Work[Solved | Rejection]]:
    written = inputs.read(Stage.GENERATED, GeneratedExample)
    solver, knobs = desks[Role.SOLVER].teacher, inputs.solver_knobs(config)
    return enrich(written, solver, knobs, _judge(inputs, desks), share=share)


WIRING = TeacherWiring(SolverConfig, lambda _: STAGES[Stage.ENRICHED].roles, _ask, _share)
