from __future__ import annotations

from datetime import timedelta

import dagster as dg

from sdg_assets.assets.retention import forget_runs
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.records import Role
from sdg_assets_tests.support.runs import QUIET

WRITER = TEACHERS[Role.WRITER]


@dg.observable_source_asset(key=WRITER)
def writer() -> dg.DataVersion:
    return dg.DataVersion("one")


@dg.asset
def made() -> None:
    pass


@dg.asset
def operations() -> None:
    pass


@dg.op
def nothing() -> None:
    pass


@dg.job
def idle() -> None:
    nothing()


DEFINITIONS = dg.Definitions(
    assets=[writer, made, operations],
    jobs=[
        idle,
        dg.define_asset_job("observe", [writer]),
        dg.define_asset_job("make", [made]),
        dg.define_asset_job("look", [operations]),
    ],
)


def run(instance: dg.DagsterInstance, job: str) -> str:
    definition = DEFINITIONS.resolve_job_def(job)
    return definition.execute_in_process(instance=instance, run_config={"loggers": QUIET}).run_id


def forget(instance: dg.DagsterInstance, older_than: timedelta) -> tuple[int, set[str]]:
    forgotten = forget_runs(instance, older_than)
    return forgotten, {run.run_id for run in instance.get_runs()}


def test_old_runs_are_forgotten_but_history_and_the_newest_observation_stay(
    instance: dg.DagsterInstance,
) -> None:
    run(instance, "idle")
    run(instance, "observe")
    history, newest = run(instance, "make"), run(instance, "observe")

    assert forget(instance, timedelta(0)) == (2, {history, newest})
    assert instance.get_latest_materialization_event(dg.AssetKey("made"))
    assert len(instance.fetch_observations(WRITER, limit=10).records) == 1


def test_of_the_pages_of_operations_the_newest_stays(instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        run(instance, "look")
    newest = run(instance, "look")

    assert forget(instance, timedelta(0)) == (2, {newest})


def test_younger_runs_stay(instance: dg.DagsterInstance) -> None:
    run_id = run(instance, "idle")

    assert forget(instance, timedelta(days=1)) == (0, {run_id})
