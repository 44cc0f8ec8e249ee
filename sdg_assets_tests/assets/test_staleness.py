"""When a partition is made again by itself, tick by tick."""

import dagster as dg
import pytest
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor

from sdg_assets.assets.staleness import remade_when_stale
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.examples import Role
from sdg_assets_tests.runs import QUIET

WRITER = TEACHERS[Role.WRITER]
PARTS = dg.StaticPartitionsDefinition(["a", "b", "c"])
BROKEN: set[str] = set()


@dg.observable_source_asset(key=WRITER)
def writer() -> dg.DataVersion:
    return dg.DataVersion("unused")


@dg.asset(deps=[WRITER], partitions_def=PARTS, automation_condition=remade_when_stale())
def generated(context: dg.AssetExecutionContext) -> None:
    if context.partition_key in BROKEN:
        raise ConnectionError("the network was away")


@dg.asset(deps=[generated], partitions_def=PARTS, automation_condition=remade_when_stale())
def enriched() -> None:
    pass


DEFINITIONS = dg.Definitions(assets=[writer, generated, enriched])


class Sensor:
    """The automation sensor: what it asks for at each look."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._cursor: AssetDaemonCursor | None = None

    def look(self) -> dict[str, set[str]]:
        result = dg.evaluate_automation_conditions(DEFINITIONS, self._instance, cursor=self._cursor)
        self._cursor = result.cursor
        asked = {
            asset.key.to_user_string(): set(result.get_requested_partitions(asset.key)) - {None}
            for asset in (generated, enriched)
        }
        return {name: {str(p) for p in parts} for name, parts in asked.items() if parts}


def observe(instance: dg.DagsterInstance, version: str) -> None:
    tags = {"dagster/data_version": version}
    instance.report_runless_asset_event(dg.AssetObservation(WRITER, tags=tags))


def make(instance: dg.DagsterInstance, *parts: str) -> None:
    """Runs each stage by itself, the second where the first succeeded, as backfills do."""
    for part in parts:
        for asset in (generated, enriched):
            result = dg.materialize(
                [writer, generated, enriched],
                selection=[asset],
                partition_key=part,
                instance=instance,
                run_config={"loggers": QUIET},
                raise_on_error=False,
            )
            if not result.success:
                break


@pytest.fixture
def sensor(instance: dg.DagsterInstance) -> Sensor:
    """One that has looked at two materialized partitions of three."""
    BROKEN.clear()
    observe(instance, "one")
    make(instance, "a", "b")
    watching = Sensor(instance)
    assert watching.look() == {}
    return watching


def test_a_new_teacher_asks_once_for_what_is_materialized_and_all_below(
    sensor: Sensor, instance: dg.DagsterInstance
) -> None:
    observe(instance, "two")

    assert sensor.look() == {"generated": {"a", "b"}, "enriched": {"a", "b"}}
    assert sensor.look() == {}
    make(instance, "a", "b")
    assert [sensor.look(), sensor.look()] == [{}, {}]


def test_the_same_teacher_observed_again_asks_for_nothing(
    sensor: Sensor, instance: dg.DagsterInstance
) -> None:
    observe(instance, "one")

    assert sensor.look() == {}


def test_a_failure_buys_one_retry(sensor: Sensor, instance: dg.DagsterInstance) -> None:
    observe(instance, "two")
    sensor.look()
    BROKEN.add("b")

    assert sensor.look() == {}
    make(instance, "a", "b")
    assert sensor.look() == {"generated": {"b"}, "enriched": {"b"}}
    assert sensor.look() == {}
    make(instance, "b")
    assert [sensor.look(), sensor.look()] == [{}, {}]

    observe(instance, "three")
    assert sensor.look()["generated"] == {"a", "b"}


def test_what_failed_before_any_change_is_left_to_people(
    sensor: Sensor, instance: dg.DagsterInstance
) -> None:
    BROKEN.add("b")

    make(instance, "b")

    assert sensor.look() == {}
