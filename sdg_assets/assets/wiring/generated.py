"""`generated`: new examples modelled on seeds, a fixed number per seed or until enough pass."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from sdg_assets.assets.cover_plans import read_plan
from sdg_assets.assets.desks import answers_of, probe_of
from sdg_assets.assets.filling import Filling, TeacherWiring
from sdg_assets.assets.knobs import SolverConfig, WriterConfig, config_of
from sdg_assets.assets.partition_context import PartitionContext, PartitionInputs
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.errors import PermanentError
from sdg_assets.records import Example, Rejection, Role, Stage
from sdg_assets.stages.generated import Written, write
from sdg_assets.stages.published import written_rows
from sdg_assets.stages.seed_index import SeedsById
from sdg_assets.stages.stage import STAGES
from sdg_assets.stages.target import Target, TargetReport, write_until
from sdg_assets.store.row_file import RowFile
from sdg_assets.teacher.conversation import Desks, Usage, Work
from sdg_assets.teacher.share import Share


def _roles(config: WriterConfig) -> tuple[Role, ...]:
    row = STAGES[Stage.GENERATED]
    has_target = config.target_accepted or config.cover
    return row.roles_until_accepted if has_target else row.roles


def _ask(partition: PartitionContext, config: WriterConfig, desks: Desks) -> Filling:
    seeds = RowFile(Example, partition.read(Stage.NORMALIZED, Example))
    if target := _target(partition, config):
        return _ask_until_accepted(partition, config, seeds, desks, target)
    spec, writer = partition.spec, desks[Role.WRITER].teacher
    knobs = partition.writer_knobs(config)

    def publish_partition(usage: Usage) -> PartitionReport:
        answers, pool = answers_of(desks), partition.pool
        rows = written_rows(
            spec,
            seeds,
            writer,
            knobs,
            answers,
            partition.thresholds,
            pool,
            is_partial=bool(usage.unfinished),
        )
        report = partition.publish(rows, config, usage=usage)
        report.teachers[Role.WRITER] = writer.identity
        return report

    total = len(seeds) * knobs.examples_per_seed
    partition.pool.prepare(total)
    return Filling(write(spec, seeds, writer, knobs), total, publish_partition)


def _target(partition: PartitionContext, config: WriterConfig) -> Target | None:
    """The partition's target, of the run or of the plan that the run carries out."""
    if config.cover:
        return read_plan(partition.store, config.cover).target_of(partition.spec)
    return Target(config.target_accepted) if config.target_accepted else None


def _ask_until_accepted(
    partition: PartitionContext,
    config: WriterConfig,
    seeds: Sequence[Example],
    desks: Desks,
    target: Target,
) -> Filling:
    """Writes until the target's rows pass the votes, the judge and the gates."""
    spec, progress = partition.spec, TargetReport(target.rows)
    # Vote as `enriched` will: with its config if it is in this run, else with this run's tags.
    op = f"{spec.task}__{Stage.ENRICHED}"
    solving = config_of(SolverConfig, op, partition.step.run)
    solver_knobs = partition.solver_knobs(solving)
    works = write_until(
        spec,
        seeds,
        {role: desk.teacher for role, desk in desks.items()},
        partition.writer_knobs(config),
        solver_knobs,
        partition.thresholds,
        progress,
        heldout=partition.guard.gate,
        judge=partition.judge(desks, SeedsById(seeds)),
        probe=probe_of(desks, partition.settings),
        max_rounds=config.max_rounds,
        expected_yield=target.expected_yield,
        most_written=target.most_written,
        rows_at_once=_rows_at_once(partition, solver_knobs, desks),
    )

    def publish_partition(usage: Usage) -> PartitionReport:
        report = partition.publish(progress.rows, config, usage=usage)
        report.teachers |= {role: desk.teacher.identity for role, desk in desks.items()}
        report.metadata |= {"target": progress.summary, "target_rounds": progress.rounds}
        if progress.accepted < target.rows:
            partition.step.log.warning(f"{spec.key}: {progress.summary}")
        return report

    runs_programs = spec.answer_kind.policy.runs_programs
    return Filling(works, target.rows, publish_partition, runs_programs, lambda: progress.accepted)


def _rows_at_once(
    partition: PartitionContext, knobs: SolverKnobs, desks: Desks
) -> Callable[[], int]:
    """How many examples the run's budget pays for, with all that is asked about each of them."""
    budget = partition.budget
    if budget is None:
        return lambda: sys.maxsize
    answers = knobs.votes + knobs.with_knowledge + (Role.JUDGE in desks)
    answers += knobs.probe_answers if Role.PROBE in desks else 0
    return partial(budget.rows_worth, 1 + answers)


def _share(
    inputs: PartitionInputs, config: WriterConfig, desks: Desks, share: Share
) -> Iterator[Work[Written | Rejection]]:
    if config.target_accepted or config.cover:
        raise PermanentError(
            "target_accepted and cover: how many rows to write depends on all that were accepted "
            "before, so one process must write them; share examples_per_seed instead"
        )
    seeds = RowFile(Example, inputs.read(Stage.NORMALIZED, Example))
    knobs = inputs.writer_knobs(config)
    return write(inputs.spec, seeds, desks[Role.WRITER].teacher, knobs, share=share)


WIRING = TeacherWiring(WriterConfig, _roles, _ask, _share)
