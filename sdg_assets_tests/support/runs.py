"""Runs assets with Dagster, and reads the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from sdg_assets.assets.factory import task_assets
from sdg_assets.assets.heldout import heldout_asset
from sdg_assets.catalog import SeedTask, cached_catalog
from sdg_assets.settings import settings
from sdg_assets_tests.support.stages import ROW_ASSETS

QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


def run(
    task: str,
    stages: Sequence[str] = ROW_ASSETS,
    *,
    subtasks: str | tuple[str, str] | None = None,
    instance: dg.DagsterInstance,
    config: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materializes stages of a task.

    Args:
        task: The seed task.
        stages: Which of its stages.
        subtasks: One, a range (first, last), or the only one it has.
        instance: Where the run is recorded.
        config: Stage → run config.
        tags: Of the run.
    """
    seed_task = cached_catalog(settings().catalog).task(task)
    keys = seed_task.enabled_subtasks()
    partitions = subtasks or keys[0]
    tags = dict(tags or {})
    if isinstance(partitions, tuple):
        tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"] = (
            partitions
        )
    if {"normalized", "filtered"} & set(stages):
        _hash_heldout(
            seed_task, None if isinstance(partitions, tuple) else partitions, tags, instance
        )
    ops = {f"{task}__{stage}": {"config": c} for stage, c in (config or {}).items()}
    return dg.materialize(
        task_assets(seed_task),
        selection=[dg.AssetKey([task, stage]) for stage in stages],
        partition_key=None if isinstance(partitions, tuple) else partitions,
        tags=tags,
        instance=instance,
        run_config={"loggers": QUIET, "ops": ops},
        raise_on_error=False,
    )


def _hash_heldout(
    task: SeedTask, subtask: str | None, tags: dict[str, str], instance: dg.DagsterInstance
) -> None:
    dg.materialize(
        [heldout_asset(task)],
        partition_key=subtask,
        tags=tags,
        instance=instance,
        run_config={"loggers": QUIET},
        raise_on_error=False,
    )


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """The messages of the failed steps, one per step."""
    messages = []
    for event in result.all_events:
        if event.event_type_value != "STEP_FAILURE":
            continue
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            messages.append(data.user_failure_data.description)
        else:
            assert data.error
            messages.append(f"(not a clear failure) {data.error.message}")
    return messages


def attempts(result: dg.ExecuteInProcessResult) -> int:
    """Number of step starts, retries included."""
    started = ("STEP_START", "STEP_RESTARTED")
    return sum(event.event_type_value in started for event in result.all_events)


def failed(result: dg.ExecuteInProcessResult) -> str:
    """The only message of a run that failed permanently, at the first attempt."""
    assert not result.success
    (message,) = failures(result)
    assert not message.startswith("(not a clear failure)"), message
    assert attempts(result) == 1
    return message


def materialized(instance: dg.DagsterInstance, task: str, stage: str) -> set[str]:
    """The asset's materialized partitions in Dagster."""
    return instance.get_materialized_partitions(dg.AssetKey([task, stage]))


def metadata(instance: dg.DagsterInstance, task: str, stage: str, subtask: str) -> dict[str, Any]:
    """The metadata of a partition's newest materialization, as plain values."""
    result = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey([task, stage]), asset_partitions=[subtask]),
        limit=1,
    )
    (record,) = result.records
    materialization = record.asset_materialization
    assert materialization
    return {name: value.value for name, value in materialization.metadata.items()}


def checks(
    result: dg.ExecuteInProcessResult, stage: str, subtask: str
) -> dict[str, dg.AssetCheckEvaluation]:
    """The results of the run's checks for a partition, by name."""
    evaluations = [
        event.asset_check_evaluation_data
        for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    return {
        evaluation.check_name: evaluation
        for evaluation in evaluations
        if evaluation.asset_key.path[1] == stage and evaluation.partition == subtask
    }


def metadata_of_run(
    assets: Sequence[dg.AssetsDefinition], instance: dg.DagsterInstance
) -> dict[str, Any]:
    """Materializes assets, and returns the metadata of the only materialization."""
    result = dg.materialize(
        assets, instance=instance, run_config={"loggers": QUIET}, raise_on_error=False
    )
    assert result.success, failures(result)
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}
