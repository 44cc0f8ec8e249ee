"""Retries of crashed runs that Dagster's daemon lost.

The daemon launches a run's retry when it reads of the failure in the event log, and reads each
event once (Dagster 1.13.27). In two cases it launches none and does not look again:

- The event is in the log before the run has the status "failed". A daemon that reads in between
  takes the run for one that goes on. The run then says for ever that it is about to be retried, and
  its backfill never ends.
- The launch itself fails, because the code server restarts or the database is locked.

A second event of the failure makes the daemon look again; a run that has a retry gets no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from sdg_assets.dagster_internals import (
    AUTO_RETRY_RUN_ID_TAG,
    PARENT_RUN_ID_TAG,
    RUN_FAILURE_REASON_TAG,
    WILL_RETRY_TAG,
    RunFailureReason,
)
from sdg_assets.settings import settings

PATIENCE = timedelta(minutes=1)
"""How long Dagster has to launch a retry; it usually takes seconds."""
HORIZON = timedelta(hours=1)
"""Runs that failed earlier are left alone: a person may have taken care of them."""
ATTEMPTS = 3
"""How often a failure is reported again. A job that no longer exists cannot be retried at all."""
NOT_LAUNCHED = "Failed to retry run"
"""Dagster's message where the launch failed."""


def lost_retries() -> dg.SensorDefinition:
    """The sensor that has lost retries launched."""

    @dg.sensor(
        name="lost_retries",
        minimum_interval_seconds=settings().sensor_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has a crashed run retried when Dagster promised a retry and launched none, "
        "for example because the code server restarted at that moment.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        recovered = recover(context.instance, datetime.now(UTC))
        return dg.SkipReason(
            f"retries asked for again: {', '.join(recovered)}" if recovered else "none is lost"
        )

    return sensor


def recover(instance: dg.DagsterInstance, now: datetime) -> list[str]:
    """Reports failures again whose retry is lost; ends the wait for one that cannot be launched.

    Args:
        instance: Where the runs are recorded.
        now: The time.

    Returns:
        The ids of the runs whose retry is asked for again.
    """
    recovered = []
    for run in _lost(instance, now):
        failures = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        why_not = "no retry was launched" if len(failures) > ATTEMPTS else ""
        if not why_not and _was_run_again(instance, run):
            why_not = "a person ran it again"
        if not why_not:
            instance.report_run_failed(run, "The retry of this run was not launched: asked again.")
            recovered.append(run.run_id)
        elif run.is_complete_and_waiting_to_retry:
            instance.report_engine_event(f"Not waiting for a retry any longer: {why_not}.", run)
            instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
    return recovered


def _lost(instance: dg.DagsterInstance, now: datetime) -> Iterator[dg.DagsterRun]:
    """Failed runs that should have a retry and have none."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - HORIZON)
    for record in instance.get_run_records(failed):
        run, changed = record.dagster_run, record.update_timestamp.replace(tzinfo=UTC)
        if AUTO_RETRY_RUN_ID_TAG in run.tags or now - changed < PATIENCE:
            continue
        if run.is_complete_and_waiting_to_retry or _was_not_launched(instance, run):
            yield run


def _was_run_again(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    again = dg.RunsFilter(tags={PARENT_RUN_ID_TAG: run.run_id})
    return bool(instance.get_runs(again, limit=1))


def _was_not_launched(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    if run.tags.get(RUN_FAILURE_REASON_TAG) == RunFailureReason.STEP_FAILURE.value:
        return False  # Dagster does not retry it, so its log need not be read
    events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    return any(entry.message == NOT_LAUNCHED for entry in events)
