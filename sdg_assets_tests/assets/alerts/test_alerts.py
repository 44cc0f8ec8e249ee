from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster_shared.error import SerializableErrorInfo

from sdg_assets.assets.alerts.collection import alerts_of_runs
from sdg_assets.assets.alerts.delivery import ATTEMPTS, Receivers
from sdg_assets.assets.alerts.sensor import alerts_sensor
from sdg_assets.assets.alerts.state import AlertState
from sdg_assets.assets.keys import CURATED
from sdg_assets.assets.operations import OPERATIONS
from sdg_assets.errors import PermanentError
from sdg_assets.records import Role
from sdg_assets_tests.assets.quiz import quiz
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.cities import Employ, write_and_solve
from sdg_assets_tests.support.history import History
from sdg_assets_tests.support.runs import run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.webhook import Webhook, webhook

BOTH = ("quiz_a", "quiz_b")
UI = "https://dagster.example.org"
STARTED = dg.DagsterRunStatus.STARTED
Tick = Callable[[], str]


@pytest.fixture
def receiver() -> Iterator[Webhook]:
    with webhook() as received:
        yield received


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance that stores ticks; one in memory does not."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("home"))) as local:
        yield local


@pytest.fixture
def mirror(
    tmp_path: Path, configure: Configure, receiver: Webhook, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("SDG_ALERTS", receiver.address)
    configure(ui_url=UI)
    return quiz(tmp_path, configure, *BOTH)


@pytest.fixture
def tick(mirror: Path, instance: dg.DagsterInstance) -> Tick:
    """Evaluates the sensor, with the cursor of the evaluation before; the first is done."""
    sensor, cursor = alerts_sensor(), ""

    def evaluate() -> str:
        nonlocal cursor
        with dg.build_sensor_context(instance, cursor) as context:
            result = sensor(context)
            cursor = context.cursor or ""
        assert isinstance(result, dg.SkipReason)
        return str(result.skip_message)

    evaluate()
    return evaluate


def fail_seeds(mirror: Path, instance: dg.DagsterInstance, *subtasks: str) -> None:
    for subtask in subtasks:
        (mirror / "org" / "quiz" / subtask / "train.jsonl").unlink()
    run("quiz", ["seeds"], subtasks=BOTH, instance=instance)


def test_a_failed_partition_is_told_once_with_cause_what_to_do_and_link(
    tick: Tick, mirror: Path, instance: dg.DagsterInstance, receiver: Webhook
) -> None:
    fail_seeds(mirror, instance, "quiz_b")

    assert tick() == "1 messages sent"
    assert tick() == "0 messages sent"

    (message,) = receiver.messages
    (failed,) = instance.get_runs()
    assert message["title"] == f"sdg_assets: 1 failure in run {failed.run_id[:8]}"
    assert message["type"] == "failure"
    first, line, what_to_do = message["message"].splitlines()
    assert first == "1 failure:"
    assert line.startswith("- quiz/seeds/quiz_b: ")
    assert "train" in line
    assert line.endswith(f"{UI}/runs/{failed.run_id}")
    assert "Re-execute from failure" in what_to_do


def test_what_happened_before_the_first_tick_is_not_told(
    mirror: Path, instance: dg.DagsterInstance, receiver: Webhook
) -> None:
    fail_seeds(mirror, instance, "quiz_b")
    sensor = alerts_sensor()
    with dg.build_sensor_context(instance) as context:
        sensor(context)

    assert receiver.messages == []


def test_a_failure_that_a_retry_cures_is_not_told(
    tick: Tick, instance: dg.DagsterInstance, receiver: Webhook
) -> None:
    first = ended_run(instance, fails=True, tags={"dagster/will_retry": "true"})
    tick()
    retry = ended_run(instance, fails=False)
    instance.add_run_tags(first, {"dagster/auto_retry_run_id": retry})
    tick()

    assert receiver.messages == []


def test_a_failure_that_its_retry_repeats_is_told_once(
    tick: Tick, instance: dg.DagsterInstance, receiver: Webhook
) -> None:
    first = ended_run(instance, fails=True, tags={"dagster/will_retry": "true"})
    tick()
    retry = ended_run(instance, fails=True)
    instance.add_run_tags(first, {"dagster/auto_retry_run_id": retry})
    tick()
    tick()

    (message,) = receiver.messages
    assert message["title"].endswith(f"in run {retry[:8]}")


def test_a_failure_whose_retry_could_not_be_launched_is_told_after_ten_minutes(
    instance: dg.DagsterInstance,
) -> None:
    state = AlertState(begun=datetime.now(UTC))
    first = ended_run(instance, fails=True, tags={"dagster/will_retry": "true"})
    assert list(alerts_of_runs(instance, state)) == []
    instance.add_run_tags(first, {"dagster/will_retry": "false"})  # as Dagster does then

    now = datetime.now(UTC)
    assert list(alerts_of_runs(instance, state, now + timedelta(minutes=9))) == []
    (source,) = alerts_of_runs(instance, state, now + timedelta(minutes=11))

    assert source.name == f"run {first[:8]}"
    assert [alert.cause for alert in source.alerts] == ["the model is away"]


def test_the_failures_of_a_backfill_are_one_message_when_it_has_ended(
    tick: Tick, instance: dg.DagsterInstance, receiver: Webhook
) -> None:
    backfill = PartitionBackfill(
        backfill_id="many",
        status=BulkActionStatus.REQUESTED,
        from_failure=False,
        tags={},
        backfill_timestamp=time.time(),
    )
    instance.add_backfill(backfill)
    for number in range(22):
        tags = {"dagster/backfill": "many", "dagster/partition": f"p{number:02}"}
        ended_run(instance, fails=True, tags=tags)
    tick()
    assert receiver.messages == []

    ended = backfill.with_status(BulkActionStatus.COMPLETED_FAILED)  # type: ignore[no-untyped-call]
    instance.update_backfill(ended)
    tick()
    tick()

    (message,) = receiver.messages
    assert message["title"] == "sdg_assets: 22 failures in backfill many"
    assert "p00: " in message["message"]
    assert "- and 2 more" in message["message"]


def test_a_warning_is_told_and_a_check_that_broke_a_partition_is_not_told_twice(
    tick: Tick, instance: dg.DagsterInstance, receiver: Webhook
) -> None:
    warning = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(["quiz", "seeds"]),
        check_name="rows",
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description="2 of 9 rows",
        partition="quiz_a",
    )
    ended_run(instance, fails=False, check=warning)
    tick()

    (message,) = receiver.messages
    assert message["type"] == "warning"
    assert "- quiz/seeds/quiz_a: rows: 2 of 9 rows" in message["message"]


def test_a_budget_that_is_used_up_is_one_message_about_all_its_partitions(
    tick: Tick, instance: dg.DagsterInstance, receiver: Webhook, employ: Employ
) -> None:
    run("quiz", ["seeds", "normalized"], subtasks=BOTH, instance=instance)
    tick()
    receiver.messages.clear()
    employ(ScriptedTeacher(write_and_solve, capacity=1))

    tags = {"sdg/max_tokens": "100"}
    result = run("quiz", ["generated"], subtasks=BOTH, instance=instance, tags=tags)
    tick()
    tick()

    (message,) = receiver.messages
    title = f"2 partitions that the token budget ended in run {result.run_id[:8]}"
    assert (message["title"], message["type"]) == (f"sdg_assets: {title}", "warning")
    first, published, not_begun, what_to_do = message["message"].splitlines()
    assert first == "2 partitions that the token budget ended:"
    assert published.startswith("- quiz/generated/quiz_a: complete: the budget of tokens was used")
    assert not_begun.startswith("- quiz/generated/quiz_b: quiz/generated/quiz_b: the budget of")
    assert "without sdg/max_tokens" in what_to_do


def test_what_the_page_of_operations_lists_is_not_told_again(
    tick: Tick, instance: dg.DagsterInstance, receiver: Webhook
) -> None:
    listed = dg.AssetCheckEvaluation(
        asset_key=OPERATIONS,
        check_name="nothing_is_broken",
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description="2 stale: the page says what to do",
    )
    ended_run(instance, fails=False, check=listed)
    tick()

    assert receiver.messages == []


def test_a_sensor_that_fails_twice_is_told_once_until_it_works_again(
    tick: Tick, instance: dg.DagsterInstance, receiver: Webhook
) -> None:
    state = sensor_state(instance, "fill_missing")
    sensor_tick(instance, state, TickStatus.FAILURE)
    tick()
    assert receiver.messages == []

    sensor_tick(instance, state, TickStatus.FAILURE)
    tick()
    sensor_tick(instance, state, TickStatus.FAILURE)
    tick()
    sensor_tick(instance, state, TickStatus.SKIPPED)
    tick()
    assert len(receiver.messages) == 1
    assert "- fill_missing: the store is away" in receiver.messages[0]["message"]

    sensor_tick(instance, state, TickStatus.FAILURE)
    sensor_tick(instance, state, TickStatus.FAILURE)
    tick()
    assert len(receiver.messages) == 2


def test_a_run_without_progress_is_told_once(
    tick: Tick, instance: dg.DagsterInstance, receiver: Webhook, configure: Configure
) -> None:
    started = dg.DagsterRun("answers", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(started)
    instance.report_engine_event("waits for a GPU", started)
    tick()
    assert receiver.messages == []

    configure(alert_stalled_minutes=0.001)
    time.sleep(0.1)
    tick()
    tick()

    (message,) = receiver.messages
    assert message["title"] == "sdg_assets: 1 run without progress: answers"
    assert "waits for a GPU" in message["message"]


def test_a_new_teacher_and_a_new_release_are_told(
    tick: Tick, instance: dg.DagsterInstance, receiver: Webhook
) -> None:
    History(instance).observe("old", Role.WRITER)
    tick()
    assert receiver.messages == []

    History(instance).observe("new", Role.WRITER)
    release = dg.AssetMaterialization(CURATED, metadata={"rows": 7, "path": "releases/a"})
    instance.report_runless_asset_event(release)
    tick()
    tick()

    teacher, released = receiver.messages
    assert "- teacher/writer: old → new" in teacher["message"]
    assert "- curated: 7 rows at releases/a" in released["message"]
    assert {teacher["type"], released["type"]} == {"info"}


def test_a_message_waits_for_a_receiver_that_is_away(
    tick: Tick, mirror: Path, instance: dg.DagsterInstance, receiver: Webhook
) -> None:
    receiver.status = 503
    fail_seeds(mirror, instance, "quiz_b")
    assert "1 not taken by a receiver, tried again" in tick()

    receiver.status = 200
    assert tick() == "1 messages sent"
    assert tick() == "0 messages sent"
    assert len(receiver.messages) == 1


def test_a_receiver_that_stays_away_is_given_up_and_the_sensor_says_so(
    tick: Tick, mirror: Path, instance: dg.DagsterInstance, receiver: Webhook
) -> None:
    receiver.status = 503
    fail_seeds(mirror, instance, "quiz_b")

    told = [tick() for _ in range(ATTEMPTS)]

    assert told[-1] == f"0 messages sent; 1 given up after {ATTEMPTS} attempts"
    assert tick() == "0 messages sent"


def test_a_receiver_with_an_owners_tag_is_told_about_that_owners_tasks_only(
    tmp_path: Path, receiver: Webhook
) -> None:
    host = receiver.address.removeprefix("json://")
    config = tmp_path / "alerts.yaml"
    config.write_text(
        f"urls:\n  - json://{host}/all\n  - json://{host}/vision:\n      tag: vision\n", "utf-8"
    )
    receivers = Receivers(str(config))

    assert len(receivers.of([])) == 1
    assert len(receivers.of(["team:vision"])) == 2
    assert len(receivers.of(["team:speech", "ana@example.org"])) == 1


def test_an_address_that_apprise_does_not_know_is_an_error_that_does_not_show_it() -> None:
    with pytest.raises(PermanentError, match="SDG_ALERTS: address 2 is none") as raised:
        Receivers("json://localhost/a, slacc://secret-token")

    assert "secret" not in str(raised.value)


def ended_run(
    instance: dg.DagsterInstance,
    *,
    fails: bool,
    tags: dict[str, str] | None = None,
    check: dg.AssetCheckEvaluation | None = None,
) -> str:
    """Records a run that has ended, and returns its id."""
    run = instance.add_run(
        dg.DagsterRun("answers", run_id=str(uuid.uuid4()), tags=tags or {}, status=STARTED)
    )
    if check:
        kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION.value
        event = DagsterEvent(kind, "answers", event_specific_data=check)
        instance.report_dagster_event(event, run.run_id)
    if fails:
        instance.report_run_failed(run, "the model is away")
    else:
        end = DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "answers", message="done")
        instance.report_dagster_event(end, run.run_id)
    return run.run_id


def sensor_state(instance: dg.DagsterInstance, name: str) -> InstigatorState:
    """Switches a sensor on, as far as the instance knows."""
    target = LoadableTargetOrigin(module_name="sdg_assets.definitions")
    location = InProcessCodeLocationOrigin(target, location_name="sdg_assets")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    data = SensorInstigatorData(min_interval=30)
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)
    return instance.add_instigator_state(state)


def sensor_tick(instance: dg.DagsterInstance, state: InstigatorState, status: TickStatus) -> None:
    """Records a tick, later than those before."""
    failed = status is TickStatus.FAILURE
    before = len(instance.get_ticks(state.instigator_origin_id, state.selector_id))
    moment = datetime.now(UTC) + timedelta(seconds=before)
    instance.create_tick(
        TickData(
            instigator_origin_id=state.instigator_origin_id,
            instigator_name=state.name,
            instigator_type=InstigatorType.SENSOR,
            status=status,
            timestamp=moment.timestamp(),
            selector_id=state.selector_id,
            error=SerializableErrorInfo("the store is away", [], "StoreError") if failed else None,
        )
    )
