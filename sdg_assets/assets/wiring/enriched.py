"""`enriched`: the solver's votes, then scores and background for the rows that votes verified."""

from collections.abc import Iterator

from sdg_assets.assets.desks import answers_of, probe_of
from sdg_assets.assets.filling import Filling, TeacherWiring
from sdg_assets.assets.knobs import SolverConfig
from sdg_assets.assets.partition_context import PartitionContext, PartitionInputs
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.enrichment.judge import Judge
from sdg_assets.records import Example, GeneratedExample, Rejection, Role, Stage
from sdg_assets.stages.enriched import EnrichmentReport, Solved, enrich
from sdg_assets.stages.published import solved_rows
from sdg_assets.stages.seed_index import SeedsById
from sdg_assets.stages.stage import STAGES
from sdg_assets.store.row_file import RowFile
from sdg_assets.teacher.conversation import Desks, Usage, Work
from sdg_assets.teacher.share import Share


def _ask(partition: PartitionContext, config: SolverConfig, desks: Desks) -> Filling:
    knobs = partition.solver_knobs(config)
    judge, solver = _judge(partition, desks), desks[Role.SOLVER].teacher
    probe = probe_of(desks, partition.settings)
    runs_programs = partition.spec.answer_kind.policy.runs_programs

    total = partition.store.manifest(partition.key(Stage.GENERATED)).rows

    def written() -> Iterator[GeneratedExample]:
        return partition.read(Stage.GENERATED, GeneratedExample)

    def publish_partition(usage: Usage) -> PartitionReport:
        enrichment = EnrichmentReport()
        rows = solved_rows(
            written(),
            total,
            solver,
            knobs,
            judge,
            answers_of(desks),
            enrichment,
            partition.thresholds,
            partition.pool,
            probe=probe,
            runs_programs=runs_programs,
            is_partial=bool(usage.unfinished),
        )
        report = partition.publish(rows, config, usage=usage)
        report.teachers |= {role: desk.teacher.identity for role, desk in desks.items()}
        report.metadata |= enrichment.numbers()
        if not knobs.accept_corrections:
            del report.metadata["answers_corrected"]  # it would always be 0
        return report

    if not runs_programs:
        partition.pool.prepare(total)
    works = enrich(written(), solver, knobs, judge, probe)
    return Filling(works, total, publish_partition, runs_programs)


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
    judge, probe = _judge(inputs, desks), probe_of(desks, inputs.settings)
    return enrich(written, solver, knobs, judge, probe, share=share)


WIRING = TeacherWiring(SolverConfig, lambda _: STAGES[Stage.ENRICHED].roles, _ask, _share)
