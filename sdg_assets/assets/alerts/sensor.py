"""The sensor `alerts`."""

import os

import dagster as dg

from sdg_assets.assets.alerts.alert import Alert, message_of
from sdg_assets.assets.alerts.collection import Source, alerts_of_runs, tasks_of
from sdg_assets.assets.alerts.delivery import ATTEMPTS, VARIABLE, Receivers, queue
from sdg_assets.assets.alerts.standing import (
    failing_automation,
    new_releases,
    new_teachers,
    stalled_runs,
)
from sdg_assets.assets.alerts.state import AlertState
from sdg_assets.assets.cursors import packed, unpacked
from sdg_assets.assets.failures import clear_failures
from sdg_assets.catalog import configured_catalog
from sdg_assets.settings import Settings, settings


def alerts_sensor() -> dg.SensorDefinition:
    """The sensor that sends alerts; on if `SDG_ALERTS` is set when the code location loads."""
    is_on = VARIABLE in os.environ

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=settings().sensor_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Tells the receivers in SDG_ALERTS about failures that no retry cured, checks "
        "that did not pass, budgets that are used up, failing sensors and schedules, runs without "
        "progress, new teachers and new releases. One message per run, or per backfill.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        addresses = os.environ.get(VARIABLE, "").strip()
        if not addresses:
            return dg.SkipReason(f"set {VARIABLE} to who is to be told, see docs/operations.md")
        with clear_failures():
            receivers = Receivers(addresses)
        state = AlertState.model_validate(unpacked(context.cursor))
        sources = sources_of(context.instance, state, settings())
        _queue(sources, state, receivers, settings())
        outcome = _send(state, receivers)
        context.update_cursor(packed(state.model_dump(mode="json")))
        return dg.SkipReason(outcome)

    return alerts


def sources_of(
    instance: dg.DagsterInstance, state: AlertState, current_settings: Settings
) -> list[Source]:
    """Everything that is to be told now: what runs and backfills did, and what else happened."""
    others: list[Alert] = [
        *failing_automation(instance, state),
        *stalled_runs(instance, state, current_settings.alert_stalled_minutes),
        *new_teachers(instance, state),
        *new_releases(instance, state),
    ]
    kinds = dict.fromkeys(alert.kind for alert in others)
    return [
        *(source for source in alerts_of_runs(instance, state) if source.alerts),
        *(Source("", [alert for alert in others if alert.kind is kind]) for kind in kinds),
    ]


def _queue(
    sources: list[Source], state: AlertState, receivers: Receivers, current_settings: Settings
) -> None:
    tasks = configured_catalog(current_settings).tasks
    for source in sources:
        message = message_of(source.name, source.alerts, current_settings.ui_url)
        owners = {
            owner
            for task in tasks_of(source.alerts, tasks)
            for owner in tasks[task].owners or current_settings.owners
        }
        state.undelivered.append(queue(message, receivers.of(owners)))


def _send(state: AlertState, receivers: Receivers) -> str:
    """Sends what waits; what is not taken waits for the next tick, `ATTEMPTS` times."""
    sent, waiting, given_up = 0, [], 0
    for message in state.undelivered:
        failed = receivers.deliver(message)
        sent += len(failed) < len(message.receivers)
        if not failed:
            continue
        message.receivers, message.attempts = failed, message.attempts + 1
        if message.attempts < ATTEMPTS:
            waiting.append(message)
        else:
            given_up += 1
    state.undelivered = waiting
    parts = [f"{sent} messages sent"]
    if waiting:
        parts.append(f"{len(waiting)} not taken by a receiver, tried again at the next tick")
    if given_up:
        parts.append(f"{given_up} given up after {ATTEMPTS} attempts")
    return "; ".join(parts)
