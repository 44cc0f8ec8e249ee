"""One factory: a seed task in, its five partitioned assets with their checks out."""

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import dagster as dg

from sdg_assets.assets.failures import clear_failures
from sdg_assets.assets.knobs import (
    SeedConfig,
    SolverConfig,
    StageConfig,
    WriterConfig,
    config_of,
    from_run_tags,
)
from sdg_assets.assets.metadata import contamination_metadata
from sdg_assets.assets.partitions import PartitionReport, Progress, each_partition, write_partition
from sdg_assets.assets.retries import retries
from sdg_assets.assets.staleness import AGAINST_BENCHMARKS, BENCHMARKS, stop_if_superseded
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import SeedTask, SubtaskSpec, cached_catalog
from sdg_assets.checks.inspection import ALL_CHECKS, STAGE_CHECKS
from sdg_assets.cluster.pods import pod_tags
from sdg_assets.enrichment.judging import Judge
from sdg_assets.enrichment.judging import prompt_versions as judge_prompts
from sdg_assets.errors import SdgError
from sdg_assets.gates import row_gates, seed_gates
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.heldout.protection import protection
from sdg_assets.records import (
    EnrichedExample,
    Example,
    GeneratedExample,
    Record,
    Role,
    Seed,
    content_id,
)
from sdg_assets.settings import settings
from sdg_assets.signatures.table import Signatures
from sdg_assets.sources.source import open_source
from sdg_assets.stages.enriched import EnrichmentReport, enrich
from sdg_assets.stages.enriched import prompt_versions as solver_prompts
from sdg_assets.stages.filtered import filter_rows
from sdg_assets.stages.generated import generate
from sdg_assets.stages.generated import prompt_version as writer_prompt
from sdg_assets.stages.normalized import normalize, without_broken, without_leaks
from sdg_assets.stages.overlaps import seeded_elsewhere
from sdg_assets.stages.plan import SAMPLE, RoughCounter, plan_subtask
from sdg_assets.stages.seeds import collect_seeds, shortfall
from sdg_assets.stages.target import TargetReport, generate_until
from sdg_assets.stages.training_rows import mapped_seeds, training_rows
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher import has_judge, open_teachers
from sdg_assets.teacher.conversation import Desk, Usage, converse, settle
from sdg_assets.teacher.log.completions import CompletionLog, damage_of
from sdg_assets.teacher.stopping import flushed
from sdg_assets.thresholds import Thresholds, overridden

logger = logging.getLogger(__name__)
WRITER, SOLVER, JUDGE = (TEACHERS[role] for role in (Role.WRITER, Role.SOLVER, Role.JUDGE))
STAGES = ("seeds", "normalized", "generated", "enriched", "filtered")
# In the order in which they can be made: hashes of what is held out, then the stages.
TASK_ASSETS = ("heldout", *STAGES)
GPU_STAGES = ("generated", "enriched")
# Each stage has a value of its own: stages with equal policies run as one, and then a subtask
# that fails in one stage holds its siblings back in the next.
PARTITIONS_PER_RUN = {
    "seeds": 101, "normalized": 102, "generated": 41, "enriched": 42, "filtered": 103,
}  # fmt: skip
DESCRIPTIONS = {
    "seeds": "Raw rows of the training split, untouched.",
    "normalized": "Seeds as examples of one shape: context, question, choices, answer text.",
    "generated": "New examples that the writer wrote after its seeds.",
    "enriched": "Generated examples, answered blind by the solver, with reasoning and background.",
    "filtered": "Examples that passed every gate.",
}
Work = Callable[[dg.AssetExecutionContext, SubtaskSpec, Store, Any], PartitionReport]


def task_assets(task: SeedTask) -> list[dg.AssetsDefinition]:
    """The assets `[task, stage]` of a seed task, one partition for each enabled subtask."""
    partitions = dg.StaticPartitionsDefinition(task.enabled_subtasks())
    return [
        _stage(task, partitions, "seeds", [], SeedConfig, _seeds),
        _stage(task, partitions, "normalized", ["seeds", "heldout"], StageConfig, _normalized),
        _stage(task, partitions, "generated", ["normalized", WRITER], WriterConfig, _generated),
        _stage(
            task,
            partitions,
            "enriched",
            ["generated", "normalized", SOLVER, JUDGE],
            SolverConfig,
            _enriched,
        ),
        _stage(
            task,
            partitions,
            "filtered",
            ["enriched", "normalized", "heldout"],
            StageConfig,
            _filtered,
        ),
    ]


def _stage(
    task: SeedTask,
    partitions: dg.PartitionsDefinition[Any],
    stage: str,
    upstream: list[str | dg.AssetKey],
    config_type: type[StageConfig],
    work: Work,
) -> dg.AssetsDefinition:
    key = dg.AssetKey([task.task, stage])
    checks = [
        dg.AssetCheckSpec(name, asset=key, description=ALL_CHECKS[name], partitions_def=partitions)
        for name in STAGE_CHECKS[stage]
    ]

    @dg.asset(
        key=key,
        deps=[
            *(dg.AssetKey([task.task, u]) if isinstance(u, str) else u for u in upstream),
            *(
                [dg.AssetDep(BENCHMARKS, partition_mapping=dg.AllPartitionMapping())]
                if stage in AGAINST_BENCHMARKS
                else []
            ),
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(PARTITIONS_PER_RUN[stage]),
        check_specs=checks,
        output_required=False,
        group_name=task.task,
        owners=settings().owners,
        description=_describe(task, stage),
        kinds={"vllm", "jsonl"} if stage in GPU_STAGES else {"python", "jsonl"},
        tags={
            "family": task.family,
            "domain": _tag(task.domain),
            "licence": _tag(task.license),
            "answer_kind": task.answer_kind.value,
        },
        pool="gpu" if stage in GPU_STAGES else "hub" if stage == "seeds" else None,
        retry_policy=retries(),
        op_tags=pod_tags(stage, task.answer_kind),
    )
    def asset_of_stage(context: dg.AssetExecutionContext, config: config_type) -> Iterator[Any]:  # type: ignore[valid-type]
        with clear_failures():
            store = Store(settings().store)
            config = from_run_tags(config, context.run.tags)

        def one(subtask: str) -> PartitionReport:
            spec = cached_catalog(settings().catalog).subtask(task.task, subtask)
            stop_if_superseded(context, task, subtask, TASK_ASSETS)
            inputs = [PartitionKey(task.task, u, subtask) for u in upstream if isinstance(u, str)]
            return work(context, spec, store.pinned(inputs), config)

        yield from each_partition(context, checks, one)

    return asset_of_stage


def _seeds(
    context: dg.AssetExecutionContext, spec: SubtaskSpec, store: Store, config: SeedConfig
) -> PartitionReport:
    cap = config.max_seeds or settings().max_seeds
    source = open_source(settings().seed_source)
    found: list[int] = []
    rows = collect_seeds(spec, source, cap, count=found.append)
    report = _publish(spec, "seeds", store, rows, config, asked=cap)
    # A text: what the catalog says does not change, so it is no plot.
    report.metadata |= {"rows_in_split": found[0], "rows_declared": f"{spec.rows or 0:,}"}
    # The embedded samples stand in for a split; that they are fewer is no news.
    short = shortfall(spec, found[0]) if source.name != "samples" else None
    if short:
        context.log.warning(short)
        report.metadata["shortfall"] = short
    return report


def _normalized(
    context: dg.AssetExecutionContext, spec: SubtaskSpec, store: Store, config: StageConfig
) -> PartitionReport:
    seeds = store.read(_key(spec, "seeds"), Seed)
    catalog = cached_catalog(settings().catalog)
    task = catalog.task(spec.task)
    elsewhere = None
    if task.overlaps:
        elsewhere = seeded_elsewhere(task, catalog, open_source(settings().seed_source))
    key = _key(spec, "normalized")
    guard = _Guard(spec, store, mapped_seeds(spec, store))
    sound = without_broken(normalize(spec, seeds, elsewhere), seed_gates(_thresholds(spec)))
    rows = without_leaks(sound, guard.gate)
    report = guard.publish("normalized", rows, config)
    sample = list(itertools.islice(store.read(key, Example), SAMPLE))
    plan = plan_subtask(spec, sample, RoughCounter(), settings(), store.manifest(key).rows)
    report.metadata |= {
        "planned_requests": plan.requests,
        "planned_prompt_tokens": plan.prompt_tokens,
        "planned_output_tokens": plan.output_tokens,
    }
    return report


def _generated(
    context: dg.AssetExecutionContext, spec: SubtaskSpec, store: Store, config: WriterConfig
) -> PartitionReport:
    seeds = list(store.read(_key(spec, "normalized"), Example))
    if config.target_accepted:
        return _generated_until(context, spec, store, config, seeds, config.target_accepted)
    knobs, usage = config.knobs(), Usage()
    progress = Progress(context, spec.key, len(seeds) * knobs.examples_per_seed)
    with desks_of(store, spec, [Role.WRITER]) as desks:
        _tell_damage(context, desks)
        writer = desks[Role.WRITER].teacher
        rows = converse(
            generate(spec, seeds, writer, knobs, _thresholds(spec)),
            desks,
            usage,
            concurrency=settings().concurrency,
            on_progress=progress,
        )
        report = _publish(spec, "generated", store, rows, config, usage)
    report.teachers[Role.WRITER] = writer.identity
    return report


def _generated_until(
    context: dg.AssetExecutionContext,
    spec: SubtaskSpec,
    store: Store,
    config: WriterConfig,
    seeds: list[Example],
    target: int,
) -> PartitionReport:
    target_report, usage = TargetReport(target), Usage()
    # As `enriched` will vote: its config where it is in the same run, else the tags of both runs.
    solving = config_of(SolverConfig, f"{spec.task}__enriched", context.run)
    with desks_of(store, spec, _roles(*Role)) as desks:
        _tell_damage(context, desks)
        rows = generate_until(
            spec,
            seeds,
            desks,
            usage,
            config.knobs(),
            solving.knobs(),
            _thresholds(spec),
            target_report,
            heldout=_Guard(spec, store, training_rows(spec, store)).gate,
            judge=_judge(spec, desks, {seed.id: seed for seed in seeds}),
            max_rounds=config.max_rounds,
            concurrency=settings().concurrency,
            on_progress=Progress(context, spec.key, target),
        )
        report = _publish(spec, "generated", store, rows, config, usage)
    report.teachers |= {role: desk.teacher.identity for role, desk in desks.items()}
    report.metadata |= {"target": target_report.summary, "target_rounds": target_report.rounds}
    if target_report.accepted < target:
        context.log.warning(f"{spec.key}: {target_report.summary}")
    return report


def _enriched(
    context: dg.AssetExecutionContext, spec: SubtaskSpec, store: Store, config: SolverConfig
) -> PartitionReport:
    generated = _key(spec, "generated")
    anchors = {row.seed_ids[0] for row in store.read(generated, GeneratedExample)}
    normalized = store.read(_key(spec, "normalized"), Example)
    seeds = {seed.id: seed for seed in normalized if seed.id in anchors}
    usage, progress = Usage(), Progress(context, spec.key, store.manifest(generated).rows)
    told = EnrichmentReport()
    with desks_of(store, spec, _roles(Role.SOLVER, Role.JUDGE)) as desks:
        _tell_damage(context, desks)
        works = enrich(
            store.read(generated, GeneratedExample),
            desks[Role.SOLVER].teacher,
            config.knobs(),
            _judge(spec, desks, seeds),
            told,
            _thresholds(spec),
        )
        rows = converse(
            works, desks, usage, concurrency=settings().concurrency, on_progress=progress
        )
        report = _publish(spec, "enriched", store, rows, config, usage)
    report.teachers |= {role: desk.teacher.identity for role, desk in desks.items()}
    report.metadata |= told.numbers()
    if not config.knobs().accept_corrections:
        del report.metadata["answers_corrected"]  # it would be 0 for ever
    return report


def _roles(*roles: Role) -> list[Role]:
    """Those of the roles that are played: there may be no judge."""
    return [role for role in roles if role is not Role.JUDGE or has_judge(settings())]


def _judge(
    spec: SubtaskSpec, desks: Mapping[Role, Desk], seeds: Mapping[str, Example]
) -> Judge | None:
    if Role.JUDGE not in desks:
        return None
    return Judge(desks[Role.JUDGE].teacher, settings().judge_api, spec.frame, seeds)


def _filtered(
    context: dg.AssetExecutionContext, spec: SubtaskSpec, store: Store, config: StageConfig
) -> PartitionReport:
    thresholds, guard = _thresholds(spec), _Guard(spec, store, training_rows(spec, store))
    duplicates = Duplicates(store.read(_key(spec, "normalized"), Example), thresholds)
    stamps: dict[Role, set[str]] = {role: set() for role in Role}

    def read() -> Iterator[EnrichedExample]:
        for row in store.read(_key(spec, "enriched"), EnrichedExample):
            judge = row.judge and row.judge.judge
            played = {Role.WRITER: row.teacher, Role.SOLVER: row.solver, Role.JUDGE: judge}
            for role, stamp in played.items():
                if stamp:
                    stamps[role].add(f"{stamp.model}@{stamp.revision}")
            yield row

    rows = filter_rows(read, row_gates(thresholds, guard.gate), duplicates)
    report = guard.publish("filtered", rows, config, duplicates.signatures)
    report.metadata |= {role.value: ", ".join(sorted(s)) for role, s in stamps.items() if s}
    return report


class _Guard:
    """The contamination gate of a partition, and what it says of it in the end."""

    def __init__(self, spec: SubtaskSpec, store: Store, training: Iterable[Example]) -> None:
        """Reads what is held out, and from the training rows what is rare in this subtask."""
        self._spec, self._store = spec, store
        catalog, without = cached_catalog(settings().catalog), settings().without_benchmarks
        source = settings().seed_source
        self._protection = protection(store, catalog, [spec], without, source)
        self._background = self._protection.index.background(training)
        self.gate = self._contamination()

    def publish(
        self,
        stage: str,
        rows: Iterable[Record],
        config: StageConfig,
        signatures: Callable[[], Signatures] | None = None,
    ) -> PartitionReport:
        """Writes the rows with the gate's report in their manifest."""
        info: dict[str, Any] = {}

        def gated() -> Iterator[Record]:
            yield from rows
            info["contamination"] = self.gate.report.as_dict() | self._protection.record

        report = write_partition(
            _key(self._spec, stage),
            self._store,
            gated(),
            thresholds=_thresholds(self._spec),
            # Of its own: the check must not add to the report.
            heldout=self._contamination(),
            info=info,
            signatures=signatures,
            accept_smaller=bool(config.accept_smaller),
        )
        report.metadata |= contamination_metadata(info["contamination"])
        return report

    def _contamination(self) -> Contamination:
        own = f"{self._spec.task}/{self._spec.key}"
        return Contamination(self._protection.index, _thresholds(self._spec), own, self._background)


def _publish(
    spec: SubtaskSpec,
    stage: str,
    store: Store,
    rows: Iterable[Record],
    config: StageConfig,
    usage: Usage | None = None,
    asked: int | None = None,
) -> PartitionReport:
    return write_partition(
        _key(spec, stage),
        store,
        rows,
        usage=usage,
        thresholds=_thresholds(spec),
        asked=asked,
        accept_smaller=bool(config.accept_smaller),
    )


def _thresholds(spec: SubtaskSpec) -> Thresholds:
    return overridden(settings().gates, spec.gates)


def _key(spec: SubtaskSpec, stage: str) -> PartitionKey:
    return PartitionKey(spec.task, stage, spec.key)


@contextmanager
def desks_of(store: Store, spec: SubtaskSpec, roles: Iterable[Role]) -> Iterator[dict[Role, Desk]]:
    """The roles' teachers with their logs; another teacher or prompt starts a log of its own.

    When the block fails, its logs get the answers that are still to come. When it is interrupted,
    they get those that have come: whoever stops a run wants it to end.
    """
    kind = spec.answer_kind
    versions = {
        Role.WRITER: [writer_prompt(kind)],
        Role.SOLVER: solver_prompts(kind),
        Role.JUDGE: judge_prompts(settings().judge_api),
    }
    folder = store.completions_dir(spec.task, spec.key)
    with ExitStack() as opened:
        desks = {}
        for role, teacher in open_teachers(settings(), roles).items():
            made_with = content_id(versions[role])[:8]
            name = f"{role}-{teacher.identity.fingerprint}-{made_with}.jsonl"
            log = opened.enter_context(CompletionLog(folder / name))
            opened.enter_context(flushed(log.sync))
            desks[role] = Desk(teacher, log)
        try:
            yield desks
        except BaseException as failure:
            try:
                settle(desks, wait=isinstance(failure, Exception))
            except SdgError as error:  # the failure itself is what must be told
                logger.warning("%s: answers that were under way are lost: %s", spec.key, error)
            raise


def _tell_damage(context: dg.AssetExecutionContext, desks: Mapping[Role, Desk]) -> None:
    for desk in desks.values():
        if desk.log.damaged:
            context.log.warning(damage_of(desk.log))


def _describe(task: SeedTask, stage: str) -> str:
    link = f"https://huggingface.co/datasets/{task.dataset}"
    return (
        f"{DESCRIPTIONS[stage]}\n\n{task.frame}\n\nDataset [{task.dataset}]({link}), licence "
        f"{task.license} (commercial use: {task.commercial_use}). {task.notes}"
    )


def _tag(text: str) -> str:
    """Text as a tag value: Dagster allows letters, digits and `_.-`, 63 at the most."""
    return "".join(c if c.isalnum() or c in "_.-" else "_" for c in text)[:63].strip("_.-")
