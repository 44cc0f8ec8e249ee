"""Schedules and sensors. Those that cost teacher time are off until a person switches them on.

Run priorities: missing subtasks first, then a person's runs, then re-runs of stale partitions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import dagster as dg

from sdg_assets.assets.alerts.sensor import alerts_sensor
from sdg_assets.assets.cursors import packed, unpacked
from sdg_assets.assets.jobs import (
    PRIORITY,
    everything_missing,
    everything_stale,
    make_coverage,
    make_operations,
    missing_of,
    partitions_of,
    release,
    unhashed_benchmarks,
)
from sdg_assets.assets.keys import COVERAGE, CURATED
from sdg_assets.assets.lost_retries import lost_retries
from sdg_assets.assets.retention import forget_old_runs
from sdg_assets.assets.retries import RETRIED_WITHIN
from sdg_assets.assets.staleness import Stale, first_stale
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import Catalog, configured_catalog
from sdg_assets.dagster_internals import (
    NOT_FINISHED_STATUSES,
    RANGE_TAGS,
    UNFINISHED_BACKFILLS,
    BulkActionsFilter,
    PartitionBackfill,
)
from sdg_assets.heldout.protection import PROTECTED
from sdg_assets.settings import settings
from sdg_assets.stages.stage import STAGES

# A failed partition is requested once more. After that a person looks at it, or resets the
# sensor's cursor.
MAX_REQUESTS = 2


def schedules() -> list[dg.ScheduleDefinition]:
    """Hourly observation of the teachers (off by default); daily `operations` and run deletion."""
    return [
        dg.ScheduleDefinition(
            name="observe_teachers",
            target=dg.AssetSelection.assets(*TEACHERS.values()),
            cron_schedule="0 * * * *",
            description="Checks every hour whether a teacher's version has changed. Partitions "
            "made by that teacher are then stale: `operations` lists them, and the sensor "
            "remake_stale makes them again.",
        ),
        dg.ScheduleDefinition(
            name="operations_daily",
            target=dg.AssetSelection.assets("operations"),
            cron_schedule="0 6 * * *",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Lists failed, stale and missing partitions.",
        ),
        dg.ScheduleDefinition(
            name="forget_old_runs_daily",
            job=forget_old_runs,
            cron_schedule="30 5 * * *",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Deletes old runs that materialized only operations or nothing, and their "
            "event logs.",
        ),
    ]


def sensors() -> list[dg.SensorDefinition]:
    """The sensors.

    `remake_stale` and `fill_missing` are off by default; `operations_after_observing`,
    `coverage_after_release` and `lost_retries` are on, and `alerts` is on if its receivers are
    named.
    """
    interval = settings().sensor_seconds

    @dg.sensor(
        job=everything_stale,
        minimum_interval_seconds=interval,
        description="Makes materialized partitions from normalized to filtered again when one of "
        "their inputs has changed, for example after a teacher update. It goes stage by stage, "
        "and runs each partition once per change, and once more after a failure.",
    )
    def remake_stale(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if _is_launching(context.instance, everything_stale):
            return dg.SkipReason("the last request is not launched yet")
        catalog = configured_catalog(settings())
        # Read first: a partition that ends after this line may still look stale below, and must
        # not be requested again.
        busy = under_way(context.instance, catalog)
        stale = first_stale(context.instance, catalog.enabled())
        earlier: Mapping[str, tuple[str, int]] = unpacked(context.cursor)
        due, requests = _due(stale, earlier, busy)
        context.update_cursor(packed(requests))
        if not due:
            waiting = f"being made, or requested {MAX_REQUESTS} times already"
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
        minimum_interval_seconds=interval,
        description="Runs the missing stages of enabled subtasks, such as subtasks new in the "
        "catalog. It never runs a materialized partition again. On a fresh instance it runs the "
        "protected benchmarks, then the whole catalog.",
    )
    def fill_missing(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        tasks = configured_catalog(settings()).enabled()
        busy = _busy(context.instance)
        missing = missing_of(context.instance, partitions_of(tasks))
        names = {f"{key.path[0]}/{k}" for key, keys in missing.items() for k in keys}
        # While a benchmark is not hashed, every subtask would fail and use up its requests.
        hashing = unhashed_benchmarks().values() if names else ()
        unhashed = [f"{PROTECTED}/{benchmark}" for keys in hashing for benchmark in keys]
        earlier: Mapping[str, int] = unpacked(context.cursor)
        counts = {name: earlier.get(name, 0) for name in sorted({*names, *unhashed})}
        due = [
            name
            for name in unhashed or sorted(names)
            if counts[name] < MAX_REQUESTS and name.partition("/")[0] not in busy
        ]
        requests = {name: count + (name in due) for name, count in counts.items()}
        cursor = {name: count for name, count in requests.items() if count}
        context.update_cursor(packed(cursor))
        if not due:
            waiting = f"; they wait for {', '.join(unhashed)}, see operations" if unhashed else ""
            return dg.SkipReason(f"{len(names)} missing, {len(busy)} tasks busy{waiting}")
        config = {"benchmarks_only": True} if unhashed else {"subtasks": due}
        return dg.RunRequest(
            run_config={"ops": {"launch_everything_missing": {"config": config}}},
            tags={PRIORITY: "1"},
        )

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        request_job=make_operations,
        minimum_interval_seconds=interval,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes `operations` after each observation of the teachers, so that it lists "
        "the partitions that became stale.",
    )
    def operations_after_observing(
        context: dg.RunStatusSensorContext,
    ) -> dg.RunRequest | dg.SkipReason:
        observed = set(TEACHERS.values()) & set(context.dagster_run.asset_selection or ())
        return dg.RunRequest() if observed else dg.SkipReason("no teacher was observed")

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        request_job=make_coverage,
        minimum_interval_seconds=interval,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes `coverage` after each release, unless the same run has made it.",
    )
    def coverage_after_release(
        context: dg.RunStatusSensorContext,
    ) -> dg.RunRequest | dg.SkipReason:
        run = context.dagster_run
        made = set(run.asset_selection or ())
        # A run of a whole job has no selection of its own.
        is_release = run.job_name == release.name or CURATED in made
        if not is_release or COVERAGE in made:
            return dg.SkipReason("no release was made, or `coverage` with it")
        return dg.RunRequest()

    return [
        remake_stale, fill_missing, operations_after_observing, coverage_after_release,
        lost_retries(), alerts_sensor(),
    ]  # fmt: skip


def _due(
    stale: Iterable[Stale],
    earlier: Mapping[str, tuple[str, int]],
    busy: set[tuple[str, str]],
) -> tuple[list[Stale], dict[str, tuple[str, int]]]:
    """The partitions to request now, and the updated request counts.

    The count of a partition restarts at 0 whenever one of its inputs changes. The bound is there
    because ol-data-platform, without one, had 368,000 failed runs in fourteen days.

    Args:
        stale: The stale partitions.
        earlier: Partition name → fingerprint of its inputs, and how often it was requested for
            those inputs.
        busy: (task, subtask) pairs that are being made.
    """
    due, requests = [], {}
    hashing = any(task == PROTECTED for task, _ in busy)
    for partition in stale:
        inputs, count = earlier.get(partition.name, ("", 0))
        count = count if inputs == partition.inputs else 0
        waits = (partition.task, partition.subtask) in busy
        waits |= hashing and STAGES[partition.stage].is_gated_against_benchmarks
        if count < MAX_REQUESTS and not waits:
            due.append(partition)
            count += 1
        if count:
            requests[partition.name] = (partition.inputs, count)
    return due, requests


def under_way(instance: dg.DagsterInstance, catalog: Catalog) -> set[tuple[str, str]]:
    """(task, subtask) of each partition that an unfinished run or backfill is to make."""
    busy = set()
    runs = [*instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))]
    failed = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE], updated_after=datetime.now(UTC) - RETRIED_WITHIN
    )
    runs += [run for run in instance.get_runs(failed) if run.is_complete_and_waiting_to_retry]
    for run in runs:
        for key in run.asset_selection or ():
            busy |= {(key.path[0], subtask) for subtask in _subtasks_of(run, key, catalog)}
    for backfill in instance.get_backfills(
        filters=BulkActionsFilter(statuses=UNFINISHED_BACKFILLS)
    ):
        busy |= _unfinished(backfill, catalog)
    return busy


def _subtasks_of(run: dg.DagsterRun, key: dg.AssetKey, catalog: Catalog) -> Iterable[str]:
    if partition := run.tags.get("dagster/partition"):
        return [partition]
    subtasks = _all_subtasks(key, catalog)
    first, last = (run.tags.get(tag) for tag in RANGE_TAGS)
    if first in subtasks and last in subtasks:
        return subtasks[subtasks.index(first) : subtasks.index(last) + 1]
    return subtasks


def _unfinished(backfill: PartitionBackfill, catalog: Catalog) -> set[tuple[str, str]]:
    """(task, subtask) of the partitions that a backfill has neither made nor given up."""
    if data := backfill.asset_backfill_data:
        remaining = data.get_targeted_partitions_without_materialization_status()
        subsets = remaining.partitions_subsets_by_asset_key
        return {(key.path[0], k) for key, s in subsets.items() for k in s.get_partition_keys()}
    keys = backfill.asset_selection or ()
    return {(key.path[0], subtask) for key in keys for subtask in _all_subtasks(key, catalog)}


def _all_subtasks(key: dg.AssetKey, catalog: Catalog) -> list[str]:
    task = catalog.tasks.get(key.path[0])
    return task.enabled_subtasks() if task else [""]  # benchmarks: callers ignore their names


def _is_launching(instance: dg.DagsterInstance, job: dg.JobDefinition) -> bool:
    """Whether a run of this job is still about to launch its backfill."""
    unfinished = dg.RunsFilter(job_name=job.name, statuses=NOT_FINISHED_STATUSES)
    return bool(instance.get_runs(unfinished, limit=1))


def _busy(instance: dg.DagsterInstance) -> set[str]:
    """Seed tasks that a backfill or a run is working on."""
    backfills = instance.get_backfills(filters=BulkActionsFilter(statuses=UNFINISHED_BACKFILLS))
    runs = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    keys = {key for backfill in backfills for key in backfill.asset_selection or ()}
    keys |= {key for run in runs for key in run.asset_selection or ()}
    if _is_launching(instance, everything_missing):
        # It is about to launch a backfill, and only that run knows of which tasks.
        keys |= {dg.AssetKey(PROTECTED)}
        keys |= set(partitions_of(configured_catalog(settings()).enabled()))
    return {key.path[0] for key in keys}
