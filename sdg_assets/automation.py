"""What happens without a person: schedules and sensors. Those that cost teacher time start off.

Runs for subtasks that are missing go before runs that make again what is there; a person's runs
stand between the two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import cached_catalog
from sdg_assets.jobs import PRIORITY, everything_missing, missing_of, partitions_of
from sdg_assets.retention import forget_old_runs
from sdg_assets.settings import settings

# One failure buys one retry; then a person looks at it, or resets the sensor's cursor.
ASKED_AT_MOST = 2


def schedules() -> list[dg.ScheduleDefinition]:
    """Observing the teachers hourly (off until switched on); daily `operations` and forgetting."""
    return [
        dg.ScheduleDefinition(
            name="observe_teachers",
            target=dg.AssetSelection.assets(*TEACHERS.values()),
            cron_schedule="0 * * * *",
            description="Looks hourly whether a teacher has another version. What depends on it "
            "is then shown as stale, and made again if the sensor remake_stale is on.",
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
            description="Deletes old runs that materialized nothing, and their event logs.",
        ),
    ]


def sensors() -> list[dg.SensorDefinition]:
    """Re-runs what is stale; fills what is missing. Both off until switched on."""
    every = settings().sensor_seconds
    remake_stale = dg.AutomationConditionSensorDefinition(
        "remake_stale",
        # Observed teachers are sources: without them no change of theirs is ever seen.
        target=dg.AssetSelection.all(include_sources=True),
        run_tags={PRIORITY: "-1"},
        minimum_interval_seconds=every,
        description="Makes materialized partitions from normalized to filtered again when "
        "what they were made from has changed, as after a teacher update.",
    )

    @dg.sensor(
        job=everything_missing,
        minimum_interval_seconds=every,
        description="Runs all stages of enabled subtasks that are missing, such as those new in "
        "the catalog; never anything that is there. On a fresh instance that is the whole catalog.",
    )
    def fill_missing(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        tasks = cached_catalog(settings().catalog).enabled()
        busy = _busy(context.instance)
        missing = missing_of(context.instance, partitions_of(tasks))
        names = {f"{key.path[0]}/{k}" for key, keys in missing.items() for k in keys}
        asked: Mapping[str, int] = json.loads(context.cursor or "{}")
        counts = {name: asked.get(name, 0) for name in sorted(names)}
        due = [
            name
            for name, count in counts.items()
            if count < ASKED_AT_MOST and name.partition("/")[0] not in busy
        ]
        asks = {name: count + (name in due) for name, count in counts.items()}
        context.update_cursor(json.dumps({name: count for name, count in asks.items() if count}))
        if not due:
            return dg.SkipReason(f"{len(names)} missing, {len(busy)} tasks busy")
        return dg.RunRequest(
            run_config={"ops": {"launch_everything_missing": {"config": {"subtasks": due}}}},
            tags={PRIORITY: "1"},
        )

    return [remake_stale, fill_missing]


def _busy(instance: dg.DagsterInstance) -> set[str]:
    """Seed tasks that a backfill or a run is working on."""
    backfills = instance.get_backfills(
        filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
    )
    runs = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    keys = {key for backfill in backfills for key in backfill.asset_selection or ()}
    keys |= {key for run in runs for key in run.asset_selection or ()}
    if any(run.job_name == everything_missing.name for run in runs):
        # It is about to launch a backfill of tasks that only it knows.
        keys |= set(partitions_of(cached_catalog(settings().catalog).enabled()))
    return {key.path[0] for key in keys}
