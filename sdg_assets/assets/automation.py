"""What happens without a person: schedules and sensors. Those that cost teacher time start off.

Runs for subtasks that are missing go before runs that make again what is there; a person's runs
stand between the two.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from sdg_assets.assets.jobs import (
    PRIORITY,
    everything_missing,
    everything_stale,
    make_operations,
    missing_of,
    partitions_of,
    unhashed_benchmarks,
)
from sdg_assets.assets.retention import forget_old_runs
from sdg_assets.assets.staleness import Stale, first_stale
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import Catalog, configured_catalog
from sdg_assets.dagster_internals import (
    NOT_FINISHED_STATUSES,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
)
from sdg_assets.heldout.protection import PROTECTED
from sdg_assets.settings import settings
from sdg_assets.stages.stage import STAGES

# One failure buys one retry; then a person looks at it, or resets the sensor's cursor.
ASKED_AT_MOST = 2
UNFINISHED_BACKFILLS = [
    BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING
]  # fmt: skip
# For so long a failed run may wait for Dagster to retry it.
RETRIED_WITHIN = timedelta(minutes=10)
RANGE = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def schedules() -> list[dg.ScheduleDefinition]:
    """Observing the teachers hourly (off until switched on); daily `operations` and forgetting."""
    return [
        dg.ScheduleDefinition(
            name="observe_teachers",
            target=dg.AssetSelection.assets(*TEACHERS.values()),
            cron_schedule="0 * * * *",
            description="Looks hourly whether a teacher has another version. What depends on it "
            "is then stale: `operations` lists it, the sensor remake_stale makes it again.",
        ),
        dg.ScheduleDefinition(
            name="operations_daily",
            target=dg.AssetSelection.assets("operations"),
            cron_schedule="0 6 * * *",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="What is broken now: failed, stale and missing partitions.",
        ),
        dg.ScheduleDefinition(
            name="forget_old_runs_daily",
            job=forget_old_runs,
            cron_schedule="30 5 * * *",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Deletes old runs that materialized nothing but operations, and their "
            "event logs.",
        ),
    ]


def sensors() -> list[dg.SensorDefinition]:
    """Re-runs what is stale and fills what is missing, both off until switched on; `operations`."""
    every = settings().sensor_seconds

    @dg.sensor(
        job=everything_stale,
        minimum_interval_seconds=every,
        description="Makes materialized partitions from normalized to filtered again when "
        "what they were made from has changed, as after a teacher update: stage by stage, each "
        "partition once a change, and once more where it fails.",
    )
    def remake_stale(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if _is_launching(context.instance, everything_stale):
            return dg.SkipReason("what was asked for is not launched yet")
        catalog = configured_catalog(settings())
        # Before anything else is read: whatever ends later may look stale, and is left alone.
        busy = under_way(context.instance, catalog)
        stale = first_stale(context.instance, catalog.enabled())
        asked: Mapping[str, tuple[str, int]] = json.loads(context.cursor or "{}")
        due, asks = _due(stale, asked, busy)
        context.update_cursor(json.dumps(asks))
        if not due:
            waiting = f"being made, or asked for {ASKED_AT_MOST} times"
            return dg.SkipReason(f"{len(stale)} stale: {waiting}" if stale else "nothing is stale")
        partitions = defaultdict(list)
        for stale_partition in due:
            asset = f"{stale_partition.task}/{stale_partition.stage}"
            partitions[asset].append(stale_partition.subtask)
        config = {"config": {"partitions": dict(partitions)}}
        return dg.RunRequest(
            run_config={"ops": {"launch_everything_stale": config}}, tags={PRIORITY: "-1"}
        )

    @dg.sensor(
        job=everything_missing,
        minimum_interval_seconds=every,
        description="Runs all stages of enabled subtasks that are missing, such as those new in "
        "the catalog; never anything that is there. On a fresh instance that is the whole catalog, "
        "after the protected benchmarks.",
    )
    def fill_missing(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        tasks = configured_catalog(settings()).enabled()
        busy = _busy(context.instance)
        missing = missing_of(context.instance, partitions_of(tasks))
        names = {f"{key.path[0]}/{k}" for key, keys in missing.items() for k in keys}
        # While a benchmark is unhashed every subtask would fail, and spend its tries.
        hashing = unhashed_benchmarks().values() if names else ()
        unhashed = [f"{PROTECTED}/{benchmark}" for keys in hashing for benchmark in keys]
        asked: Mapping[str, int] = json.loads(context.cursor or "{}")
        counts = {name: asked.get(name, 0) for name in sorted({*names, *unhashed})}
        due = [
            name
            for name in unhashed or sorted(names)
            if counts[name] < ASKED_AT_MOST and name.partition("/")[0] not in busy
        ]
        asks = {name: count + (name in due) for name, count in counts.items()}
        context.update_cursor(json.dumps({name: count for name, count in asks.items() if count}))
        if not due:
            waiting = f"; they wait for {', '.join(unhashed)}, see operations" if unhashed else ""
            return dg.SkipReason(f"{len(names)} missing, {len(busy)} tasks busy{waiting}")
        chosen = {"benchmarks_only": True} if unhashed else {"subtasks": due}
        return dg.RunRequest(
            run_config={"ops": {"launch_everything_missing": {"config": chosen}}},
            tags={PRIORITY: "1"},
        )

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        request_job=make_operations,
        minimum_interval_seconds=every,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes `operations` after each observation of the teachers: what is stale "
        "since then stands there.",
    )
    def operations_after_observing(
        context: dg.RunStatusSensorContext,
    ) -> dg.RunRequest | dg.SkipReason:
        observed = set(TEACHERS.values()) & set(context.dagster_run.asset_selection or ())
        return dg.RunRequest() if observed else dg.SkipReason("no teacher was observed")

    return [remake_stale, fill_missing, operations_after_observing]


def _due(
    stale: Iterable[Stale],
    asked: Mapping[str, tuple[str, int]],
    busy: set[tuple[str, str]],
) -> tuple[list[Stale], dict[str, tuple[str, int]]]:
    """What is asked for now, and how often each stale partition was asked for.

    A change of an input, however soon after the last one, starts the count anew. ol-data-platform
    had 368,000 failed runs in fourteen days without a bound.

    Args:
        stale: The stale partitions.
        asked: Name → the inputs for which it was asked for, and how often.
        busy: Task and subtask of what is being made.
    """
    due, asks = [], {}
    hashing = any(task == PROTECTED for task, _ in busy)
    for partition in stale:
        inputs, count = asked.get(partition.name, ("", 0))
        count = count if inputs == partition.inputs else 0
        waits = (partition.task, partition.subtask) in busy
        waits |= hashing and STAGES[partition.stage].is_gated_against_benchmarks
        if count < ASKED_AT_MOST and not waits:
            due.append(partition)
            count += 1
        if count:
            asks[partition.name] = (partition.inputs, count)
    return due, asks


def under_way(instance: dg.DagsterInstance, catalog: Catalog) -> set[tuple[str, str]]:
    """Task and subtask of whatever a run or a backfill is making, or is about to."""
    found = set()
    runs = [*instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))]
    failed = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE], updated_after=datetime.now(UTC) - RETRIED_WITHIN
    )
    runs += [run for run in instance.get_runs(failed) if run.is_complete_and_waiting_to_retry]
    for run in runs:
        for key in run.asset_selection or ():
            found |= {(key.path[0], subtask) for subtask in _subtasks_of(run, key, catalog)}
    for backfill in instance.get_backfills(
        filters=BulkActionsFilter(statuses=UNFINISHED_BACKFILLS)
    ):
        found |= _left_of(backfill, catalog)
    return found


def _subtasks_of(run: dg.DagsterRun, key: dg.AssetKey, catalog: Catalog) -> Iterable[str]:
    if partition := run.tags.get("dagster/partition"):
        return [partition]
    subtasks = _all_subtasks(key, catalog)
    first, last = (run.tags.get(tag) for tag in RANGE)
    if first in subtasks and last in subtasks:
        return subtasks[subtasks.index(first) : subtasks.index(last) + 1]
    return subtasks


def _left_of(backfill: PartitionBackfill, catalog: Catalog) -> set[tuple[str, str]]:
    """What a backfill has neither made nor given up."""
    if data := backfill.asset_backfill_data:
        left = data.get_targeted_partitions_without_materialization_status()
        subsets = left.partitions_subsets_by_asset_key
        return {(key.path[0], k) for key, s in subsets.items() for k in s.get_partition_keys()}
    keys = backfill.asset_selection or ()
    return {(key.path[0], subtask) for key in keys for subtask in _all_subtasks(key, catalog)}


def _all_subtasks(key: dg.AssetKey, catalog: Catalog) -> list[str]:
    task = catalog.tasks.get(key.path[0])
    return task.enabled_subtasks() if task else [""]  # benchmarks: which ones is all the same


def _is_launching(instance: dg.DagsterInstance, job: dg.JobDefinition) -> bool:
    """Whether a run of a launching job has not launched its backfill yet."""
    unfinished = dg.RunsFilter(job_name=job.name, statuses=NOT_FINISHED_STATUSES)
    return bool(instance.get_runs(unfinished, limit=1))


def _busy(instance: dg.DagsterInstance) -> set[str]:
    """Seed tasks that a backfill or a run is working on."""
    backfills = instance.get_backfills(filters=BulkActionsFilter(statuses=UNFINISHED_BACKFILLS))
    runs = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    keys = {key for backfill in backfills for key in backfill.asset_selection or ()}
    keys |= {key for run in runs for key in run.asset_selection or ()}
    if _is_launching(instance, everything_missing):
        # It is about to launch a backfill of tasks that only it knows.
        keys |= {dg.AssetKey(PROTECTED)}
        keys |= set(partitions_of(configured_catalog(settings()).enabled()))
    return {key.path[0] for key in keys}
