from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.automation import schedules, sensors
from sdg_assets.assets.cursors import packed, unpacked
from sdg_assets.catalog import load_protected
from sdg_assets.definitions import build_definitions
from sdg_assets.heldout.protection import heldout_key
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets.store.partitions import Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.heldout import as_if_read_now
from sdg_assets_tests.support.stages import TASK_ASSETS


@pytest.fixture(autouse=True)
def catalog(tmp_path: Path, configure: Configure) -> Path:
    tasks: list[dict[str, Any]] = [
        {"task": "rivers", "subtasks": {"nile": {}, "rhine": {}}},
        {"task": "lakes", "subtasks": {"como": {}}},
    ]
    configure(catalog=write_catalog(tmp_path / "catalog", *tasks), sensor_seconds=7)
    return tmp_path / "catalog"


def sensor(name: str) -> dg.SensorDefinition:
    (match,) = [s for s in sensors() if s.name == name]
    return match


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> tuple[list[str], str]:
    """Evaluates fill_missing once; returns the subtasks that it requests, and its new cursor."""
    with dg.build_sensor_context(instance, cursor, definitions=build_definitions()) as context:
        data = sensor("fill_missing").evaluate_tick(context)
    requested: list[str] = []
    for request in data.run_requests or ():
        config = request.run_config["ops"]["launch_everything_missing"]["config"]
        requested += ["protected"] if config.get("benchmarks_only") else config["subtasks"]
        assert request.tags["dagster/priority"] == "1"
    return requested, data.cursor or ""


def materialize(instance: dg.DagsterInstance, task: str, *subtasks: str) -> None:
    for stage in TASK_ASSETS:
        for subtask in subtasks:
            event = dg.AssetMaterialization([task, stage], partition=subtask)
            instance.report_runless_asset_event(event)


def test_what_costs_teacher_time_is_off_until_switched_on() -> None:
    status = {schedule.name: schedule.default_status.value for schedule in schedules()}
    status |= {sensor.name: sensor.default_status.value for sensor in sensors()}

    assert status == {
        "observe_teachers": "STOPPED",
        "remake_stale": "STOPPED",
        "fill_missing": "STOPPED",
        "operations_after_observing": "RUNNING",
        "coverage_after_release": "RUNNING",
        "lost_retries": "RUNNING",
        "alerts": "STOPPED",
        "operations_daily": "RUNNING",
        "forget_old_runs_daily": "RUNNING",
    }


def test_sensors_look_as_often_as_the_setting_says() -> None:
    assert {s.minimum_interval_seconds for s in sensors()} == {7}


def test_subtasks_that_are_missing_are_asked_for(instance: dg.DagsterInstance) -> None:
    materialize(instance, "rivers", "nile")

    assert tick(instance)[0] == ["lakes/como", "rivers/rhine"]


def test_nothing_is_asked_for_when_nothing_is_missing(instance: dg.DagsterInstance) -> None:
    materialize(instance, "rivers", "nile", "rhine")
    materialize(instance, "lakes", "como")

    assert tick(instance) == ([], "")


def test_a_subtask_that_stays_missing_is_asked_for_twice_and_no_more(
    instance: dg.DagsterInstance,
) -> None:
    materialize(instance, "rivers", "nile", "rhine")

    requests, cursor = [], None
    for _ in range(4):
        requested, cursor = tick(instance, cursor)
        requests.append(requested)

    assert requests == [["lakes/como"], ["lakes/como"], [], []]
    assert unpacked(cursor) == {"lakes/como": 2}


def test_on_a_fresh_instance_benchmarks_are_asked_for_first_and_spend_no_tries_of_subtasks(
    instance: dg.DagsterInstance, store: Store, configure: Configure
) -> None:
    names = {benchmark.name for benchmark in load_protected()}
    configure(without_benchmarks=",".join(names - {"hle"}))

    requests, cursor = [], None
    for _ in range(3):
        requested, cursor = tick(instance, cursor)
        requests.append(requested)
    assert requests == [["protected"], ["protected"], []]

    (hle,) = (benchmark for benchmark in load_protected() if benchmark.name == "hle")
    with store.write(heldout_key("protected", "hle")) as out:
        out.info = {"rows": 1, **as_if_read_now(hle, settings().seed_source)}
    assert tick(instance, cursor)[0] == ["lakes/como", "rivers/nile", "rivers/rhine"]


def test_a_subtask_that_was_filled_is_forgotten(instance: dg.DagsterInstance) -> None:
    materialize(instance, "rivers", "nile", "rhine")
    materialize(instance, "lakes", "como")

    assert tick(instance, packed({"lakes/como": 2})) == ([], "")


def test_a_task_that_a_run_is_working_on_is_left_alone(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(
        build_definitions().resolve_implicit_global_asset_job_def(),
        asset_selection=frozenset({dg.AssetKey(["rivers", "seeds"])}),
    )
    assert tick(instance)[0] == ["lakes/como"]

    instance.report_run_failed(run)
    assert tick(instance)[0] == ["lakes/como", "rivers/nile", "rivers/rhine"]


def test_the_schedule_observes_every_teacher() -> None:
    job = build_definitions().resolve_job_def("__anonymous_asset_job_observe_teachers")

    observed = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
    assert observed == {f"teacher/{role}" for role in Role}
