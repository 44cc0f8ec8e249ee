"""`generated`: new examples modelled on seeds, a fixed number per seed or until enough pass."""

from sdg_assets.assets.knobs import SolverConfig, WriterConfig, config_of
from sdg_assets.assets.partition_context import PartitionContext
from sdg_assets.assets.wiring import Wiring
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.records import Example, Role, Stage
from sdg_assets.stages.generated import generate
from sdg_assets.stages.stage import STAGES
from sdg_assets.stages.target import TargetReport, generate_until
from sdg_assets.teacher.conversation import Usage, converse


def _generated(partition: PartitionContext, config: WriterConfig) -> PartitionReport:
    seeds = list(partition.read(Stage.NORMALIZED, Example))
    if config.target_accepted:
        return _until_accepted(partition, config, seeds, config.target_accepted)
    knobs, usage = config.knobs(partition.settings), Usage()
    with partition.desks(*STAGES[partition.stage].roles) as desks:
        writer = desks[Role.WRITER].teacher
        rows = converse(
            generate(partition.spec, seeds, writer, knobs, partition.thresholds),
            desks,
            usage,
            concurrency=partition.settings.concurrency,
            on_progress=partition.progress(len(seeds) * knobs.examples_per_seed),
        )
        report = partition.publish(rows, config, usage=usage)
    report.teachers[Role.WRITER] = writer.identity
    return report


def _until_accepted(
    partition: PartitionContext, config: WriterConfig, seeds: list[Example], target: int
) -> PartitionReport:
    """Writes until `target` rows pass the votes, the judge and the gates."""
    spec, usage, progress = partition.spec, Usage(), TargetReport(target)
    # Vote as `enriched` will: with its config if it is in this run, else with this run's tags.
    op = f"{spec.task}__{Stage.ENRICHED}"
    solving = config_of(SolverConfig, op, partition.step.run)
    with partition.desks(*STAGES[partition.stage].roles_until_accepted) as desks:
        rows = generate_until(
            spec,
            seeds,
            desks,
            usage,
            config.knobs(partition.settings),
            solving.knobs(partition.settings),
            partition.thresholds,
            progress,
            heldout=partition.guard.gate,
            judge=partition.judge(desks, {seed.id: seed for seed in seeds}),
            max_rounds=config.max_rounds,
            concurrency=partition.settings.concurrency,
            on_progress=partition.progress(target),
        )
        report = partition.publish(rows, config, usage=usage)
    report.teachers |= {role: desk.teacher.identity for role, desk in desks.items()}
    report.metadata |= {"target": progress.summary, "target_rounds": progress.rounds}
    if progress.accepted < target:
        partition.step.log.warning(f"{spec.key}: {progress.summary}")
    return report


WIRING = Wiring(WriterConfig, _generated)
