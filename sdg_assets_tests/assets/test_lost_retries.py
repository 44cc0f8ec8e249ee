from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.assets.lost_retries import ATTEMPTS, NOT_LAUNCHED, recover
from sdg_assets.dagster_internals import JobFailureData, RunFailureReason


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that retries crashed runs once, and no failed step, like this repository's."""
    overrides = {
        "run_retries": {
            "enabled": True,
            "max_retries": 1,
            "retry_on_asset_or_op_failure": False,
        }
    }
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides) as instance:
        yield instance


def crashed(instance: dg.DagsterInstance, reason: RunFailureReason | None = None) -> str:
    """Records a run that failed, and returns its id."""
    run = instance.add_run(
        dg.DagsterRun("answers", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED)
    )
    instance.report_run_failed(run, "its worker died", JobFailureData(None, reason))
    return run.run_id


def failures(instance: dg.DagsterInstance, run_id: str) -> int:
    return len(instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE))


def is_waiting(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    assert run
    return bool(run.is_complete_and_waiting_to_retry)


def after(minutes: float) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def test_a_retry_that_is_not_launched_is_asked_for_again_after_a_minute(
    instance: dg.DagsterInstance,
) -> None:
    run = crashed(instance)
    assert is_waiting(instance, run)

    assert recover(instance, after(0.5)) == []
    assert recover(instance, after(1.5)) == [run]

    assert failures(instance, run) == 2
    assert is_waiting(instance, run)


def test_a_launch_that_failed_is_asked_for_again(instance: dg.DagsterInstance) -> None:
    run = crashed(instance)
    recorded = instance.get_run_by_id(run)
    instance.report_engine_event(NOT_LAUNCHED, recorded)
    instance.add_run_tags(run, {"dagster/will_retry": "false"})

    assert recover(instance, after(1.5)) == [run]
    assert is_waiting(instance, run)


def test_a_run_whose_retry_was_launched_is_left_alone(instance: dg.DagsterInstance) -> None:
    run = crashed(instance)
    instance.add_run_tags(run, {"dagster/auto_retry_run_id": crashed(instance)})

    assert run not in recover(instance, after(1.5))
    assert failures(instance, run) == 1


def test_what_dagster_does_not_retry_is_left_alone(instance: dg.DagsterInstance) -> None:
    step = crashed(instance, RunFailureReason.STEP_FAILURE)

    assert not is_waiting(instance, step)
    assert recover(instance, after(1.5)) == []


def test_a_run_that_failed_long_ago_is_left_alone(instance: dg.DagsterInstance) -> None:
    crashed(instance)

    assert recover(instance, after(61.5)) == []


def test_the_wait_ends_when_no_attempt_launches_a_retry(instance: dg.DagsterInstance) -> None:
    run = crashed(instance)

    asked = [recover(instance, after(1.5)) for _ in range(ATTEMPTS + 2)]

    assert asked == [[run]] * ATTEMPTS + [[], []]
    assert failures(instance, run) == 1 + ATTEMPTS
    assert not is_waiting(instance, run)


def test_the_wait_ends_when_a_person_ran_it_again(instance: dg.DagsterInstance) -> None:
    run = crashed(instance)
    tags = {"dagster/parent_run_id": run, "dagster/root_run_id": run}
    instance.add_run(dg.DagsterRun("answers", run_id=str(uuid.uuid4()), tags=tags))

    assert recover(instance, after(1.5)) == []
    assert not is_waiting(instance, run)
