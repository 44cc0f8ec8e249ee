"""Collects what finished runs and backfills have to tell, each thing once.

A failed run is reported when it is certain that Dagster does not retry it. What belongs to a
backfill waits until the backfill has ended, so that fifty failures make one message; of a backfill
that takes longer, the first message comes after `HOLD`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import dagster as dg

from sdg_assets.assets.alerts.alert import Alert, AlertKind
from sdg_assets.assets.alerts.finished_runs import alerts_of_run
from sdg_assets.assets.alerts.state import AlertState, Held
from sdg_assets.assets.retries import RETRIED_WITHIN
from sdg_assets.dagster_internals import (
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    FINISHED_STATUSES,
    UNFINISHED_BACKFILLS,
    BulkActionsFilter,
    BulkActionStatus,
    PartitionBackfill,
)

HOLD = timedelta(hours=1)
OVERLAP = timedelta(minutes=10)
"""Runs that changed this long before the newest known change are read again: a run may be recorded
late, and its tags may change after its end."""
RUNS_A_TICK = 100
"""A tick may take 60 s; reading the events of a run takes up to 0.1 s."""


class Source(NamedTuple):
    """A finished run or backfill, and its alerts."""

    name: str
    alerts: list[Alert]


def alerts_of_runs(
    instance: dg.DagsterInstance, state: AlertState, now: datetime | None = None
) -> Iterator[Source]:
    """Yields what runs and backfills have to tell since the last call.

    Args:
        instance: Where they are recorded.
        state: Updated: what is yielded will not be yielded again.
        now: The time; given by tests.
    """
    now = now or datetime.now(UTC)
    for run in [*_newly_finished(instance, state, now), *_not_retried(instance, state, now)]:
        backfill = run.tags.get(BACKFILL_ID_TAG)
        if backfill is None:
            yield Source(f"run {run.run_id[:8]}", alerts_of_run(instance, run))
        elif alerts_of_run(instance, run):
            state.held.setdefault(backfill, Held(first=now, runs=[])).runs.append(run.run_id)
    yield from _ended_backfills(instance, state, now)


def _newly_finished(
    instance: dg.DagsterInstance, state: AlertState, now: datetime
) -> Iterator[dg.DagsterRun]:
    """Runs that have ended since the last call, without those that Dagster retries."""
    state.begun = state.begun or now
    state.since = state.since or now
    horizon = max(state.begun, state.since - OVERLAP)
    # A second less: a database may cut off fractions.
    after = horizon - timedelta(seconds=1)
    filters = dg.RunsFilter(statuses=[*FINISHED_STATUSES], updated_after=after)
    records = instance.get_run_records(
        filters, limit=RUNS_A_TICK + len(state.read), order_by="update_timestamp", ascending=True
    )
    for record in records:
        run, changed = record.dagster_run, record.update_timestamp.replace(tzinfo=UTC)
        ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else changed
        state.since = max(state.since, changed)
        if run.run_id in state.read or ended < horizon:
            continue
        state.read[run.run_id] = ended
        if run.status is dg.DagsterRunStatus.FAILURE and run.is_complete_and_waiting_to_retry:
            state.retrying.append(run.run_id)
        elif AUTO_RETRY_RUN_ID_TAG not in run.tags:
            yield run
    state.read = {run: end for run, end in state.read.items() if end >= state.since - 2 * OVERLAP}


def _not_retried(
    instance: dg.DagsterInstance, state: AlertState, now: datetime
) -> Iterator[dg.DagsterRun]:
    """Failed runs whose retry does not begin; the others are forgotten."""
    waiting, state.retrying = state.retrying, []
    for record in instance.get_run_records(dg.RunsFilter(run_ids=waiting)) if waiting else ():
        run = record.dagster_run
        if AUTO_RETRY_RUN_ID_TAG in run.tags:
            continue
        ended = datetime.fromtimestamp(record.end_time or 0, UTC)
        if now - ended > RETRIED_WITHIN:
            yield run
        else:
            state.retrying.append(run.run_id)


def _ended_backfills(
    instance: dg.DagsterInstance, state: AlertState, now: datetime
) -> Iterator[Source]:
    """Backfills that have ended, or whose first failure is `HOLD` ago, and their own failures."""
    # A backfill may fail long after it was created, but not before the first tick.
    since = max(state.begun or now, now - timedelta(days=7))
    failed = BulkActionsFilter(statuses=[BulkActionStatus.FAILED], created_after=since)
    own = {b.backfill_id: b for b in instance.get_backfills(filters=failed)}
    new = [b for b in own if b not in state.backfills]
    state.backfills = sorted(own)
    for backfill in dict.fromkeys([*state.held, *new]):
        alerts = [_own_failure(own[backfill])] if backfill in new else []
        held = state.held.get(backfill)
        if held:
            current = instance.get_backfill(backfill)
            if current and current.status in UNFINISHED_BACKFILLS and now - held.first < HOLD:
                continue
            del state.held[backfill]
            alerts += _alerts(instance, held.runs)
        yield Source(f"backfill {backfill}", alerts)


def _alerts(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> Iterator[Alert]:
    for run in instance.get_runs(dg.RunsFilter(run_ids=run_ids)):
        yield from alerts_of_run(instance, run)


def _own_failure(backfill: PartitionBackfill) -> Alert:
    cause = backfill.error.message if backfill.error else "it failed without a message"
    path = f"/runs/b/{backfill.backfill_id}"
    return Alert(AlertKind.BACKFILL, backfill.backfill_id, cause, path)


def tasks_of(alerts: Iterable[Alert], tasks: Collection[str]) -> list[str]:
    """The seed tasks that alerts are about: the first part of `task/stage/subtask`."""
    named = {alert.subject.partition("/")[0] for alert in alerts}
    return sorted(named & set(tasks))
