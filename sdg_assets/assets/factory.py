"""Makes the partitioned assets of a seed task, with their checks.

The differences between stages are in the stage table and in `assets/wiring/`.
"""

from collections.abc import Generator, Iterator
from contextlib import nullcontext
from typing import Any

import dagster as dg

from sdg_assets.assets.check_specs import check_specs
from sdg_assets.assets.effective_knobs import effective_knobs, show_on_run, shown_tags
from sdg_assets.assets.failures import clear_failures
from sdg_assets.assets.filling import Ready, TeacherWiring, filled
from sdg_assets.assets.keys import BENCHMARKS, PASSAGES, asset_key
from sdg_assets.assets.knobs import StageConfig, TeacherConfig, from_run_tags
from sdg_assets.assets.lineage import with_lineage
from sdg_assets.assets.partition_context import PartitionContext
from sdg_assets.assets.partitions import each_partition, one_by_one
from sdg_assets.assets.passages import make_missing_passages, needs_passages
from sdg_assets.assets.retries import retries
from sdg_assets.assets.staleness import stop_if_superseded
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.assets.wiring import wiring_of
from sdg_assets.catalog import SeedTask, SubtaskSpec, configured_catalog
from sdg_assets.cluster.budget_names import budget_name
from sdg_assets.cluster.fill_report import fill_report
from sdg_assets.cluster.pods import pod_tags
from sdg_assets.metrics.counts import Step
from sdg_assets.metrics.exporter import exported
from sdg_assets.passages.library import passage_keys
from sdg_assets.processes.pool import Pool
from sdg_assets.records import Stage
from sdg_assets.sandbox.policy import unisolated_programs
from sdg_assets.settings import settings
from sdg_assets.stages.published import warm_up
from sdg_assets.stages.stage import ROW_STAGES, STAGES, key_of
from sdg_assets.store.partitions import Store
from sdg_assets.teacher.budget import Budget
from sdg_assets.thresholds import overridden


def task_assets(task: SeedTask) -> list[dg.AssetsDefinition]:
    """The assets `[task, stage]` of a seed task, one partition for each enabled subtask."""
    partitions = dg.StaticPartitionsDefinition(task.enabled_subtasks())
    return [_asset(task, partitions, stage) for stage in ROW_STAGES]


def _asset(
    task: SeedTask, partitions: dg.PartitionsDefinition[Any], stage: Stage
) -> dg.AssetsDefinition:
    row, wiring, key = STAGES[stage], wiring_of(stage), asset_key(task.task, stage)
    config_type: type[StageConfig] = wiring.config
    checks = check_specs(stage, key, partitions)

    @dg.asset(
        key=key,
        deps=_inputs(task, stage),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(row.partitions_per_run),
        check_specs=checks,
        output_required=False,
        group_name=task.task,
        owners=task.owners or settings().owners,
        description=_describe(task, stage),
        kinds={"vllm", "jsonl"} if row.has_fill else {"python", "jsonl"},
        tags={
            "family": task.family,
            "domain": _tag(task.domain),
            "licence": _tag(task.license),
            "answer_kind": task.answer_kind.value,
        },
        pool=row.pool and row.pool.value,
        retry_policy=retries(),
        op_tags=pod_tags(stage, task.answer_kind),
    )
    def asset_of_stage(context: dg.AssetExecutionContext, config: config_type) -> Iterator[Any]:  # type: ignore[valid-type]
        with clear_failures():
            current_settings = settings()
            store = Store(current_settings.store)
            config = from_run_tags(config, context.run.tags)
            thresholds = overridden(current_settings.gates, task.gates)
            tags = shown_tags(effective_knobs(config, current_settings, thresholds))
            show_on_run(context.instance, context.run.run_id, tags, wiring.config)
            if row.has_fill:
                make_missing_passages(context)
            budget = _budget(context, config, store)
        pool = Pool(warm_up=warm_up) if row.has_fill else Pool(processes=1)

        def subtask_of(key: str) -> SubtaskSpec:
            return configured_catalog(current_settings).subtask(task.task, key)

        def open_partition(subtask: str) -> PartitionContext:
            catalog = configured_catalog(current_settings)
            spec = subtask_of(subtask)
            stop_if_superseded(context, task, stage, subtask)
            above = [key_of(spec, each) for each in row.inputs]
            pinned = store.pinned([*above, *passage_keys(current_settings.passages)])
            return PartitionContext(
                spec=spec,
                store=pinned,
                settings=current_settings,
                step=context,
                stage=stage,
                catalog=catalog,
                pool=pool,
                counts=counts,
                filled=fill_report(),
                budget=budget,
            )

        def prepare(keys: Iterator[str]) -> Generator[Ready]:
            if isinstance(wiring, TeacherWiring):
                concurrency = current_settings.concurrency
                return filled(keys, open_partition, wiring, config, counts, concurrency)
            make = wiring.make
            return one_by_one(lambda subtask: make(open_partition(subtask), config))(keys)

        step = Step(context.run.run_id, context.op_execution_context.op_def.name)
        with (
            unisolated_programs(allowed=current_settings.allow_unsandboxed_code),
            exported(current_settings, step, context.log) as counts,
            pool,
            budget or nullcontext(),
        ):
            results = each_partition(context, checks, prepare)
            yield from with_lineage(context, stage, subtask_of, store, results)

    return asset_of_stage


def _budget(context: dg.AssetExecutionContext, config: StageConfig, store: Store) -> Budget | None:
    """The tokens that the run may still spend; None: no limit."""
    if not isinstance(config, TeacherConfig) or not config.max_tokens:
        return None
    budget = Budget(store.root, budget_name(context.instance, context.run), config.max_tokens)
    context.log.info(f"{budget.spent:,} of {budget.most:,} tokens of the budget are spent")
    return budget


def _inputs(task: SeedTask, stage: Stage) -> list[dg.AssetKey | dg.AssetDep]:
    """Upstream stages, teachers, passages if they are on, and benchmarks if the stage is gated."""
    row = STAGES[stage]
    deps: list[dg.AssetKey | dg.AssetDep] = [asset_key(task.task, above) for above in row.inputs]
    deps += [TEACHERS[role] for role in row.roles]
    if needs_passages(stage, settings()):
        deps.append(PASSAGES)
    if row.is_gated_against_benchmarks:
        deps.append(dg.AssetDep(BENCHMARKS, partition_mapping=dg.AllPartitionMapping()))
    return deps


def _describe(task: SeedTask, stage: Stage) -> str:
    link = f"https://huggingface.co/datasets/{task.dataset}"
    return (
        f"{STAGES[stage].description}\n\n{task.frame}\n\nDataset [{task.dataset}]({link}), licence "
        f"{task.license} (commercial use: {task.commercial_use}). {task.notes}"
    )


def _tag(text: str) -> str:
    """Text as a tag value: Dagster allows at most 63 letters, digits and `_.-`."""
    return "".join(c if c.isalnum() or c in "_.-" else "_" for c in text)[:63].strip("_.-")
