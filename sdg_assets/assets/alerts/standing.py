"""What is so at the moment: failing sensors, runs without progress, new teachers, new releases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import dagster as dg

from sdg_assets.assets.alerts.alert import Alert, AlertKind
from sdg_assets.assets.alerts.state import AlertState
from sdg_assets.assets.keys import CURATED
from sdg_assets.assets.staleness import teacher_versions
from sdg_assets.dagster_internals import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    TickStatus,
)

WORKS_AT = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
TICKS_TO_FAIL = {InstigatorType.SENSOR: 2, InstigatorType.SCHEDULE: 1}
"""A sensor is evaluated again after seconds, which may cure it; a schedule perhaps after a day."""


def failing_automation(instance: dg.DagsterInstance, state: AlertState) -> Iterator[Alert]:
    """Sensors and schedules whose newest ticks failed, when that begins.

    Args:
        instance: Where ticks are recorded.
        state: Updated: a name is yielded again only after it has worked.
    """
    on = {InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE}
    failing = []
    for automation in instance.all_instigator_state(instigator_statuses=on):
        error = _error_of(instance, automation)
        if error is None:
            continue
        failing.append(automation.name)
        if automation.name not in state.failing:
            kind = "sensors" if automation.instigator_type is InstigatorType.SENSOR else "schedules"
            location = automation.origin.repository_origin
            address = f"{location.repository_name}@{location.code_location_origin.location_name}"
            path = f"/locations/{quote(address)}/{kind}/{automation.name}"
            yield Alert(AlertKind.AUTOMATION, automation.name, error, path)
    state.failing = failing


def _error_of(instance: dg.DagsterInstance, automation: InstigatorState) -> str | None:
    """Why it fails; None if it works, or failed too seldom to say."""
    needed = TICKS_TO_FAIL.get(automation.instigator_type)
    if needed is None:
        return None
    ended = [TickStatus.FAILURE, TickStatus.SUCCESS, TickStatus.SKIPPED]
    ticks = instance.get_ticks(
        automation.instigator_origin_id, automation.selector_id, limit=needed, statuses=ended
    )
    if len(ticks) < needed or not all(tick.status is TickStatus.FAILURE for tick in ticks):
        return None
    error = ticks[0].error
    return error.message if error else "its tick failed without a message"


def stalled_runs(
    instance: dg.DagsterInstance, state: AlertState, minutes: float, now: datetime | None = None
) -> Iterator[Alert]:
    """Runs under way whose newest event is too old, each once until it goes on.

    Args:
        instance: Where runs are recorded.
        state: Updated.
        minutes: Without an event for so long, a run has stalled. Steps with a teacher report their
            progress every 30 seconds, Indexed Jobs every 10 minutes while one of their pods runs.
        now: The time; given by tests.
    """
    now = now or datetime.now(UTC)
    stalled = []
    for run in instance.get_runs(dg.RunsFilter(statuses=WORKS_AT)):
        records = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
        if not records:
            continue
        entry = records[0].event_log_entry
        silent = now - datetime.fromtimestamp(entry.timestamp, UTC)
        if silent < timedelta(minutes=minutes):
            continue
        stalled.append(run.run_id)
        if run.run_id not in state.stalled:
            assets = sorted(key.to_user_string() for key in run.asset_selection or ())
            subject = ", ".join(assets[:3]) or run.job_name
            last = entry.dagster_event.message if entry.dagster_event else entry.user_message
            cause = f"no event for {silent.total_seconds() / 60:.0f} minutes; the last: {last}"
            yield Alert(AlertKind.STALLED, subject, cause, f"/runs/{run.run_id}")
    state.stalled = stalled


def new_teachers(instance: dg.DagsterInstance, state: AlertState) -> Iterator[Alert]:
    """Roles whose observed version has changed since the last call."""
    for key, version in teacher_versions(instance).items():
        role = key.path[-1]
        before = state.teachers.get(role)
        state.teachers[role] = version
        if before not in (None, version):
            name = key.to_user_string()
            yield Alert(AlertKind.TEACHER, name, f"{before} → {version}", f"/assets/{name}")


def new_releases(instance: dg.DagsterInstance, state: AlertState) -> Iterator[Alert]:
    """Releases that were cut since the last call; none at the first."""
    newest = instance.fetch_materializations(CURATED, limit=1).records
    first, latest = state.release < 0, newest[0].storage_id if newest else 0
    if not first and latest > state.release:
        filters = dg.AssetRecordsFilter(CURATED, after_storage_id=state.release)
        for record in reversed(instance.fetch_materializations(filters, limit=20).records):
            made = record.asset_materialization
            facts = {key: value.value for key, value in made.metadata.items()} if made else {}
            cause = f"{facts.get('rows')} rows at {facts.get('path')}"
            yield Alert(AlertKind.RELEASE, CURATED.to_user_string(), cause, "/assets/curated")
    state.release = max(state.release, latest)
