"""Which partitions are stale, and which of them the sensor requests at each tick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.assets.automation import sensors
from sdg_assets.assets.jobs import launch
from sdg_assets.assets.keys import BENCHMARKS
from sdg_assets.assets.staleness import first_stale
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import cached_catalog
from sdg_assets.dagster_internals import (
    extract_data_version_from_entry,
    get_input_data_version_tag,
)
from sdg_assets.definitions import build_definitions
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.stages import TASK_ASSETS

WRITER, SOLVER = TEACHERS[Role.WRITER], TEACHERS[Role.SOLVER]
UPSTREAM: dict[str, Sequence[str | dg.AssetKey]] = {
    "seeds": [],
    "heldout": [],
    "normalized": ["seeds", "heldout", BENCHMARKS],
    "generated": ["normalized", WRITER],
    "enriched": ["generated", "normalized", SOLVER],
    "filtered": ["enriched", "normalized", "heldout", BENCHMARKS],
}


@pytest.fixture(autouse=True)
def catalog(tmp_path: Path, configure: Configure) -> None:
    """A catalog with three subtasks; tests materialize two of them."""
    configure(catalog=write_catalog(tmp_path, {"subtasks": {k: {} for k in "abc"}}))


class Task:
    """Reports the task's partitions as runs would."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.contents: dict[str, str] = {}

    def observe(self, version: str, *teachers: dg.AssetKey) -> None:
        tags = {"dagster/data_version": version}
        for teacher in teachers:
            self.instance.report_runless_asset_event(dg.AssetObservation(teacher, tags=tags))

    def now(self, subtask: str, stages: Sequence[str]) -> dict[str, dict[str, str]]:
        """The input versions that runs starting now would record."""
        return {stage: self._inputs(stage, subtask) for stage in stages}

    def make(
        self,
        subtask: str,
        stages: Sequence[str] = TASK_ASSETS,
        began: dict[str, dict[str, str]] | None = None,
        content: str = "rows",
    ) -> None:
        """Materializes stages from the current inputs, or from those when the run began."""
        for stage in stages:
            inputs = (began or {}).get(stage) or self._inputs(stage, subtask)
            tags = {"dagster/data_version": content, **inputs}
            key = dg.AssetKey(["quiz", stage])
            event = dg.AssetMaterialization(key, partition=subtask, tags=tags)
            self.instance.report_runless_asset_event(event)

    def hash_benchmark(self, name: str, content: str) -> None:
        tags = {"dagster/data_version": content}
        event = dg.AssetMaterialization(BENCHMARKS, partition=name, tags=tags)
        self.instance.report_runless_asset_event(event)

    def stale(self) -> list[str]:
        tasks = cached_catalog(settings().catalog).enabled()
        return [stale_partition.name for stale_partition in first_stale(self.instance, tasks)]

    def _inputs(self, stage: str, subtask: str) -> dict[str, str]:
        versions = {}
        for upstream in UPSTREAM[stage]:
            key = upstream if isinstance(upstream, dg.AssetKey) else dg.AssetKey(["quiz", upstream])
            partition = subtask if key.path[0] == "quiz" else None
            record = self.instance.get_latest_data_version_record(key, partition_key=partition)
            version = extract_data_version_from_entry(record.event_log_entry) if record else None
            versions[get_input_data_version_tag(key)] = version.value if version else "INITIAL"
        return versions


class Sensor:
    """The sensor `remake_stale`; `tick` returns the partitions that it requests."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        (self._sensor,) = [s for s in sensors() if s.name == "remake_stale"]
        self._cursor: str | None = None

    def tick(self) -> dict[str, list[str]]:
        with dg.build_sensor_context(
            self._instance, self._cursor, definitions=build_definitions()
        ) as context:
            data = self._sensor.evaluate_tick(context)
        self._cursor = data.cursor
        requested: dict[str, list[str]] = {}
        for request in data.run_requests or ():
            assert request.tags["dagster/priority"] == "-1"
            requested |= request.run_config["ops"]["launch_everything_stale"]["config"][
                "partitions"
            ]
        return {name.removeprefix("quiz/"): keys for name, keys in requested.items()}


@pytest.fixture
def task(instance: dg.DagsterInstance) -> Task:
    made = Task(instance)
    made.observe("one", WRITER, SOLVER)
    made.make("a")
    made.make("b")
    return made


@pytest.fixture
def sensor(task: Task, instance: dg.DagsterInstance) -> Sensor:
    watching = Sensor(instance)
    assert watching.tick() == {}
    return watching


def test_nothing_is_stale_until_an_input_changes(task: Task) -> None:
    assert task.stale() == []
    task.observe("one", WRITER)
    task.make("a", ["seeds"])  # the same rows
    assert task.stale() == []

    task.make("a", ["seeds"], content="other rows")
    assert task.stale() == ["quiz/normalized/a"]


def test_of_each_subtask_the_first_stale_stage_is_named(task: Task) -> None:
    task.observe("two", WRITER, SOLVER)
    task.make("b", ["generated"])

    assert task.stale() == ["quiz/generated/a", "quiz/enriched/b"]


def test_a_benchmark_that_was_hashed_since_makes_stale_what_was_not_compared_with_it(
    task: Task,
) -> None:
    task.hash_benchmark("hle", "hashes")
    assert task.stale() == ["quiz/normalized/a", "quiz/normalized/b"]


def test_a_new_writer_has_each_stage_made_again_after_the_one_above(
    task: Task, sensor: Sensor
) -> None:
    task.observe("two", WRITER)

    assert sensor.tick() == {"generated": ["a", "b"]}
    for subtask in "ab":
        task.make(subtask, ["generated"], content="new rows")
    assert sensor.tick() == {"enriched": ["a", "b"]}
    for subtask in "ab":
        task.make(subtask, ["enriched"], content="new rows")
    assert sensor.tick() == {"filtered": ["a", "b"]}
    for subtask in "ab":
        task.make(subtask, ["filtered"])
    assert sensor.tick() == {}


def test_rows_that_stay_the_same_end_the_re_run(task: Task, sensor: Sensor) -> None:
    task.observe("two", WRITER)
    sensor.tick()
    task.make("a", ["generated"])
    task.make("b", ["generated"], content="new rows")

    assert sensor.tick() == {"enriched": ["b"]}


def test_enriched_waits_where_generated_is_stale(task: Task, sensor: Sensor) -> None:
    task.observe("two", WRITER, SOLVER)

    assert sensor.tick() == {"generated": ["a", "b"]}


def test_a_new_solver_alone_has_enriched_made_again(task: Task, sensor: Sensor) -> None:
    task.observe("two", SOLVER)

    assert sensor.tick() == {"enriched": ["a", "b"]}


def test_a_change_that_arrives_while_a_partition_is_made_is_not_lost(
    task: Task, sensor: Sensor, instance: dg.DagsterInstance
) -> None:
    task.observe("two", WRITER)
    sensor.tick()
    run = create_run(instance, "generated", "a")
    began = task.now("a", ["generated"])
    task.observe("three", WRITER)
    assert sensor.tick() == {"generated": ["b"]}

    task.make("a", ["generated"], began, content="rows of two")
    instance.report_run_canceled(run)

    assert sensor.tick()["generated"] == ["a", "b"]


def test_a_failure_buys_one_retry_and_another_change_one_more(task: Task, sensor: Sensor) -> None:
    task.observe("two", WRITER)

    assert [sensor.tick() for _ in range(4)] == [{"generated": ["a", "b"]}] * 2 + [{}] * 2
    task.observe("three", WRITER)
    assert sensor.tick() == {"generated": ["a", "b"]}


def test_enriched_waits_for_a_person_where_generated_has_failed_for_good(
    task: Task, sensor: Sensor
) -> None:
    task.observe("two", WRITER)
    for _ in range(3):
        sensor.tick()
    task.observe("two", SOLVER)

    assert sensor.tick() == {}


def test_what_is_stale_when_the_sensor_is_switched_on_is_made_again(
    task: Task, instance: dg.DagsterInstance
) -> None:
    task.observe("two", WRITER)

    assert Sensor(instance).tick() == {"generated": ["a", "b"]}


@pytest.mark.parametrize(
    ("tags", "waiting"),
    [
        ({"dagster/partition": "a"}, ["a"]),
        (
            {
                "dagster/asset_partition_range_start": "a",
                "dagster/asset_partition_range_end": "b",
            },
            ["a", "b"],
        ),
    ],
)
def test_what_a_run_is_making_is_left_alone(
    task: Task,
    sensor: Sensor,
    instance: dg.DagsterInstance,
    tags: dict[str, str],
    waiting: list[str],
) -> None:
    create_run(instance, "filtered", **tags)
    task.observe("two", WRITER)

    requested = sensor.tick().get("generated", [])

    assert sorted([*requested, *waiting]) == ["a", "b"]


def test_what_a_backfill_has_still_to_make_is_left_alone(
    task: Task, sensor: Sensor, instance: dg.DagsterInstance
) -> None:
    catalog = cached_catalog(settings().catalog)
    launch(instance, catalog, {dg.AssetKey(["quiz", "enriched"]): ["b"]}, "Test", {})
    task.observe("two", WRITER)

    assert sensor.tick() == {"generated": ["a"]}


def test_while_benchmarks_are_hashed_nothing_is_compared_with_them(
    task: Task, sensor: Sensor, instance: dg.DagsterInstance
) -> None:
    task.hash_benchmark("hle", "hashes")
    run = create_run(instance, BENCHMARKS, "gpqa")
    assert sensor.tick() == {}

    instance.report_run_canceled(run)
    assert sensor.tick() == {"normalized": ["a", "b"]}


def create_run(
    instance: dg.DagsterInstance, asset: str | dg.AssetKey, partition: str = "", **tags: str
) -> dg.DagsterRun:
    key = asset if isinstance(asset, dg.AssetKey) else dg.AssetKey(["quiz", asset])
    return instance.create_run_for_job(
        build_definitions().resolve_implicit_global_asset_job_def(),
        asset_selection=frozenset({key}),
        tags=tags or {"dagster/partition": partition},
    )
