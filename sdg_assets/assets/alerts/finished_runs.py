"""What a finished run has to tell: its failures, and the checks that did not pass."""

from collections.abc import Iterator
from urllib.parse import quote

import dagster as dg

from sdg_assets.assets.alerts.alert import Alert, AlertKind
from sdg_assets.assets.operations import OPERATIONS
from sdg_assets.dagster_internals import RANGE_TAGS

_EVENTS = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}


def alerts_of_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Alert]:
    """The alerts of a finished run.

    A partition that failed because a check broke is one alert, not two. Of a check that a retry of
    the step evaluated again, the last evaluation counts. The check of the asset `operations` is no
    alert: what its page lists was told when it happened.

    Args:
        instance: Where the run is recorded.
        run: A run that has ended and is not retried.
    """
    failures: list[Alert] = []
    ends: list[str] = []
    checks: dict[tuple[str, ...], Alert | None] = {}
    for entry in instance.all_logs(run.run_id, of_type=_EVENTS):
        event = entry.dagster_event
        if event is None:
            continue
        if event.event_type is dg.DagsterEventType.STEP_FAILURE:
            failures += _step_failures(run, event)
        elif event.event_type is dg.DagsterEventType.RUN_FAILURE:
            ends.append(event.message or "it ended without a message")
        elif (evaluation := event.asset_check_evaluation_data).asset_key != OPERATIONS:
            place = (*evaluation.asset_key.path, evaluation.partition or "", evaluation.check_name)
            checks[place] = None if evaluation.passed else _check(evaluation)
    if run.status is dg.DagsterRunStatus.FAILURE and not failures:
        # Its worker died, or it could not start: no step says so.
        failures = [
            Alert(AlertKind.FAILED, _target(run), "; ".join(ends) or "unknown", _run_link(run))
        ]
    failed = {alert.subject for alert in failures}
    broken = [check for check in checks.values() if check]
    return failures + [check for check in broken if check.subject not in failed]


def _step_failures(run: dg.DagsterRun, event: dg.DagsterEvent) -> Iterator[Alert]:
    """One alert per failed partition, or one for the step."""
    data = event.step_failure_data
    failure = data.user_failure_data
    asset = _asset_of(event.step_key or "a step")
    text = (failure.description if failure else None) or (
        data.error.message if data.error else "it failed without a message"
    )
    causes = failure.metadata.get("failed") if failure else None
    if isinstance(causes, dg.JsonMetadataValue) and isinstance(causes.value, dict):
        # Written by `each_partition`: the cause of each failed partition.
        for partition, cause in causes.value.items():
            yield Alert(AlertKind.FAILED, f"{asset}/{partition}", str(cause), _run_link(run))
        return
    partition = run.tags.get("dagster/partition")
    subject = f"{asset}/{partition}" if partition else asset
    yield Alert(AlertKind.FAILED, subject, text, _run_link(run))


def _asset_of(step: str) -> str:
    """The asset that a step makes: the step of `task/stage` is called `task__stage`."""
    task, separator, stage = step.rpartition("__")
    return f"{task}/{stage}" if separator else step


def _check(evaluation: dg.AssetCheckEvaluation) -> Alert:
    error = evaluation.severity is dg.AssetCheckSeverity.ERROR
    asset = evaluation.asset_key.to_user_string()
    subject = f"{asset}/{evaluation.partition}" if evaluation.partition else asset
    name = evaluation.check_name
    return Alert(
        AlertKind.CHECK_ERROR if error else AlertKind.CHECK_WARNING,
        subject,
        f"{name}: {evaluation.description or 'did not pass'}",
        f"/assets/{quote(asset)}?view=checks&checkDetail={quote(name)}",
    )


def _target(run: dg.DagsterRun) -> str:
    """What the run was to make, in a few words."""
    assets = sorted(key.to_user_string() for key in run.asset_selection or ())
    what = ", ".join(assets[:3]) + (f" and {len(assets) - 3} more" if len(assets) > 3 else "")
    first, last = (run.tags.get(tag) for tag in RANGE_TAGS)
    partition = run.tags.get("dagster/partition") or (f"{first}…{last}" if first else "")
    return "/".join(part for part in (what or run.job_name, partition) if part)


def _run_link(run: dg.DagsterRun) -> str:
    return f"/runs/{run.run_id}"
