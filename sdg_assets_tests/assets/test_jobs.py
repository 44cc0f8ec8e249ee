from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.effective_knobs import SHOWN
from sdg_assets.assets.jobs import jobs
from sdg_assets.catalog import load_protected
from sdg_assets.dagster_internals import PartitionBackfill
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.backfills import launched_by, targets
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.runs import failures
from sdg_assets_tests.support.stages import ROW_ASSETS, TASK_ASSETS

JOBS = {job.name: job for job in jobs()}


@pytest.fixture(autouse=True)
def catalog(tmp_path: Path, configure: Configure) -> None:
    """Two tasks of one domain, one of another, and a disabled one."""
    off = {"enabled": False, "why": "too dull"}
    configure(
        catalog=write_catalog(
            tmp_path / "catalog",
            {"task": "rivers", "domain": "nature", "subtasks": {"nile": {}, "rhine": {}}},
            {"task": "lakes", "domain": "nature", "subtasks": {"como": {}}},
            {"task": "sums", "domain": "mathematics", "subtasks": {"plus": {}}},
            {"task": "dull", **off, "subtasks": {"dull_a": {}}},
        )
    )


def launched(
    instance: dg.DagsterInstance, name: str, **config: Any
) -> tuple[dg.ExecuteInProcessResult, list[PartitionBackfill]]:
    """Runs a job and returns the backfills that it launched."""
    job = JOBS[name]
    assert isinstance(job, dg.JobDefinition)
    return launched_by(job, instance, config)


def shown(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that only inform."""
    return {tag: value for tag, value in tags.items() if tag.startswith(SHOWN)}


def materialize(instance: dg.DagsterInstance, task: str, stage: str, *subtasks: str) -> None:
    for subtask in subtasks:
        event = dg.AssetMaterialization([task, stage], partition=subtask)
        instance.report_runless_asset_event(event)


def test_one_task_goes_through_all_stages(instance: dg.DagsterInstance) -> None:
    result, (backfill,) = launched(instance, "one_task", task="rivers")

    assert result.success, failures(result)
    assert targets(backfill) == {f"rivers/{stage}": {"nile", "rhine"} for stage in TASK_ASSETS}
    assert backfill.title == "rivers - all stages"


def test_some_subtasks_of_a_task(instance: dg.DagsterInstance) -> None:
    _, (backfill,) = launched(instance, "one_task", task="rivers", subtasks=["rhine"])

    assert targets(backfill) == {f"rivers/{stage}": {"rhine"} for stage in TASK_ASSETS}


def test_only_what_is_missing_of_a_task(instance: dg.DagsterInstance) -> None:
    materialize(instance, "rivers", "seeds", "nile", "rhine")
    materialize(instance, "rivers", "normalized", "nile")

    _, (backfill,) = launched(instance, "one_task", task="rivers", only_missing=True)

    both = {f"rivers/{stage}": {"nile", "rhine"} for stage in ("heldout", *ROW_ASSETS[2:])}
    assert targets(backfill) == {"rivers/normalized": {"rhine"}, **both}


def test_one_domain_is_every_task_of_it(instance: dg.DagsterInstance) -> None:
    _, (backfill,) = launched(instance, "one_domain", domain="nature")

    assert set(targets(backfill)) == {f"{t}/{s}" for t in ("rivers", "lakes") for s in TASK_ASSETS}


def test_everything_missing_is_of_enabled_tasks(instance: dg.DagsterInstance) -> None:
    for stage in TASK_ASSETS:
        materialize(instance, "rivers", stage, "nile", "rhine")
        materialize(instance, "lakes", stage, "como")

    _, (backfill,) = launched(instance, "everything_missing")

    assert targets(backfill) == {f"sums/{stage}": {"plus"} for stage in TASK_ASSETS}


def test_nothing_missing_launches_nothing(instance: dg.DagsterInstance) -> None:
    for stage in TASK_ASSETS:
        materialize(instance, "lakes", stage, "como")

    result, backfills = launched(instance, "everything_missing", subtasks=["lakes/como"])

    assert (result.success, backfills) == (True, [])


def test_knobs_travel_as_tags_of_the_runs(instance: dg.DagsterInstance) -> None:
    _, (backfill,) = launched(
        instance,
        "one_task",
        task="lakes",
        max_seeds=50,
        votes=7,
        accept_smaller=True,
        max_tokens=9000,
    )

    assert {tag: v for tag, v in backfill.tags.items() if tag.startswith("sdg/")} == {
        "sdg/max_seeds": "50",
        "sdg/votes": "7",
        "sdg/accept_smaller": "True",
        "sdg/max_tokens": "9000",
    }


def test_a_backfill_and_the_run_that_launched_it_show_all_knobs_that_hold(
    instance: dg.DagsterInstance, configure: Configure
) -> None:
    configure(examples_per_seed=4, gates='{"judge_score": 0.75, "question_chars": [5, 5000]}')

    result, (backfill,) = launched(instance, "one_task", task="lakes", votes=7)
    _, (with_target, _) = launched(instance, "one_task", task="lakes", target_accepted=90)

    knobs = {
        "knobs/examples_per_seed": "4",
        "knobs/votes": "7",
        "knobs/accept_corrections": "False",
        "knobs/thresholds": "judge_score=0.75",
    }
    assert shown(backfill.tags) == knobs
    run = instance.get_run_by_id(result.run_id)
    assert run
    assert shown(run.tags) == knobs
    assert shown(with_target.tags) == {
        "knobs/target_accepted": "90",
        "knobs/max_rounds": "5",
        "knobs/votes": "3",
        "knobs/accept_corrections": "False",
        "knobs/thresholds": "judge_score=0.75",
    }


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"task": "river"}, "unknown seed task 'river'; did you mean rivers?"),
        ({"task": "dull"}, "dull/dull_a is switched off: too dull"),
        ({"task": "rivers", "subtasks": ["nil"]}, "has no subtask 'nil'; did you mean nile?"),
        ({"task": "rivers", "max_seeds": 0}, "max_seeds=0: must be at least 1"),
        ({"task": "rivers", "votes": 1000}, "votes=1000: must be between 1 and 99"),
    ],
)
def test_a_wrong_config_is_a_clear_error_and_launches_nothing(
    instance: dg.DagsterInstance, config: dict[str, Any], message: str
) -> None:
    result, backfills = launched(instance, "one_task", **config)

    (failure,) = failures(result)
    assert message in failure
    assert backfills == []


def test_an_unknown_domain_lists_the_domains(instance: dg.DagsterInstance) -> None:
    result, _ = launched(instance, "one_domain", domain="natur")

    assert failures(result) == [
        "no enabled task has the domain 'natur'; known domains: mathematics, nature"
    ]


def test_a_release_is_a_job_of_its_own() -> None:
    assert "release" in JOBS


@pytest.fixture
def unhashed(configure: Configure) -> set[str]:
    """Two protected benchmarks that still must be hashed."""
    names = {benchmark.name for benchmark in load_protected()}
    configure(without_benchmarks=",".join(names - {"hle", "gpqa"}))
    return {"hle", "gpqa"}


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("one_task", {"task": "lakes"}),
        ("one_domain", {"domain": "nature"}),
        ("everything_missing", {}),
    ],
)
def test_protected_benchmarks_come_along_where_they_are_not_hashed(
    instance: dg.DagsterInstance, unhashed: set[str], name: str, config: dict[str, Any]
) -> None:
    result, (backfill,) = launched(instance, name, **config)

    assert result.success, failures(result)
    assert targets(backfill)["protected/heldout"] == unhashed
    assert targets(backfill)["lakes/normalized"] == {"como"}


def test_benchmarks_alone(instance: dg.DagsterInstance, unhashed: set[str]) -> None:
    _, (backfill,) = launched(instance, "everything_missing", benchmarks_only=True)

    assert targets(backfill) == {"protected/heldout": unhashed}


def test_what_is_stale_is_made_again_with_all_that_lies_below(
    instance: dg.DagsterInstance,
) -> None:
    make_stale(instance)

    _, (backfill,) = launched(instance, "everything_stale")

    assert targets(backfill) == {
        "rivers/normalized": {"nile", "rhine"},
        "rivers/generated": {"rhine"},
    }


def test_of_the_stale_partitions_named_those_that_still_are(instance: dg.DagsterInstance) -> None:
    make_stale(instance)
    named = {"rivers/normalized": ["rhine"], "rivers/generated": ["rhine"]}

    _, (backfill,) = launched(instance, "everything_stale", partitions=named)

    assert targets(backfill) == {"rivers/normalized": {"rhine"}}
    assert backfill.tags.keys() - shown(backfill.tags) == {"remake_stale"}
    assert shown(backfill.tags)["knobs/votes"] == "3"
    assert backfill.title == "Stale - changed: rivers/seeds"


@pytest.mark.parametrize(
    ("partitions", "message"),
    [
        (
            {"rivers/seeds": ["rhine"]},
            "'rivers/seeds': must be task/stage, with a stage of: normalized",
        ),
        ({"rivers/generated": ["rine"]}, "has no subtask 'rine'; did you mean rhine?"),
    ],
)
def test_stale_partitions_that_cannot_be_are_a_clear_error(
    instance: dg.DagsterInstance, partitions: dict[str, list[str]], message: str
) -> None:
    result, backfills = launched(instance, "everything_stale", partitions=partitions)

    (failure,) = failures(result)
    assert message in failure
    assert backfills == []


def make_stale(instance: dg.DagsterInstance) -> None:
    """Changes the seeds of two normalized rivers; one of them also has generated rows."""
    materialize(instance, "rivers", "generated", "rhine")
    for subtask in ("nile", "rhine"):
        key = dg.AssetKey(["rivers", "normalized"])
        made_from = {"dagster/input_data_version/rivers/seeds": "old"}
        event = dg.AssetMaterialization(key, partition=subtask, tags=made_from)
        instance.report_runless_asset_event(event)
        new = {"dagster/data_version": "new"}
        seeds = dg.AssetMaterialization(["rivers", "seeds"], partition=subtask, tags=new)
        instance.report_runless_asset_event(seeds)
