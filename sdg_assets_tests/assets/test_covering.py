"""The job `cover`: what it launches, the rounds that follow, and a run that carries out a plan."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.cover_plans import StoredPlan, read_plan, write_plan
from sdg_assets.assets.covering import cover, cover_again
from sdg_assets.dagster_internals import BulkActionStatus, PartitionBackfill
from sdg_assets.definitions import build_definitions
from sdg_assets.errors import PermanentError
from sdg_assets.stages.cover import PILOT
from sdg_assets.stages.target import Target
from sdg_assets.stages.wishes import CoverRequest, Wish
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.backfills import launched_by, targets
from sdg_assets_tests.support.builders import seed_task, write_catalog
from sdg_assets_tests.support.cities import Employ, write_and_solve
from sdg_assets_tests.support.records import enriched, example, generated
from sdg_assets_tests.support.runs import failures, metadata, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher


@pytest.fixture
def catalog(tmp_path: Path, configure: Configure) -> None:
    rivers = {"task": "rivers", "subtasks": {"nile": {}, "rhine": {}}}
    sums = {"task": "sums", "skills": ["arithmetic"], "subtasks": {"sums": {}}}
    configure(catalog=write_catalog(tmp_path / "catalog", rivers, sums), coverage_minimum=30)


def put(store: Store, task: str, subtask: str, written: int, accepted: int) -> None:
    """Stores what an earlier run has made of a subtask."""
    with store.write(PartitionKey(task, "normalized", subtask)) as seeds:
        for number in range(10):
            seeds.accept(example(task=task, subtask=subtask, question=f"Which was {number}?"))
    with store.write(PartitionKey(task, "generated", subtask)) as rows:
        for number in range(written):
            rows.accept(generated(task=task, subtask=subtask, question=f"Which is {number}?"))
    with store.write(PartitionKey(task, "filtered", subtask)) as passed:
        for number in range(accepted):
            passed.accept(enriched(task=task, subtask=subtask, question=f"Which is {number}?"))


def launched(
    instance: dg.DagsterInstance, **config: Any
) -> tuple[dg.ExecuteInProcessResult, list[PartitionBackfill]]:
    """Runs the job; returns the backfills that it launched, the newest first."""
    return launched_by(cover, instance, config)


def plan_of(backfill: PartitionBackfill, store: Store) -> StoredPlan:
    return read_plan(store, backfill.tags["sdg/cover"])


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    with dg.build_sensor_context(instance, cursor, definitions=build_definitions()) as context:
        return cover_again().evaluate_tick(context)


def end(
    instance: dg.DagsterInstance, backfill: PartitionBackfill, status: BulkActionStatus
) -> None:
    instance.update_backfill(backfill.with_status(status))  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("catalog")
def test_it_launches_what_is_missing_and_nothing_else(
    instance: dg.DagsterInstance, store: Store
) -> None:
    put(store, "rivers", "nile", written=40, accepted=20)
    put(store, "rivers", "rhine", written=40, accepted=4)
    for stage in ("heldout", "seeds", "normalized"):
        event = dg.AssetMaterialization(["rivers", stage], partition="nile")
        instance.report_runless_asset_event(event)

    result, (backfill,) = launched(instance, minimum=30)

    assert result.success, failures(result)
    written = {f"rivers/{stage}": {"nile"} for stage in ("generated", "enriched", "filtered")}
    stages = ("heldout", "seeds", "normalized", "generated", "enriched", "filtered")
    assert targets(backfill) == {**written, **{f"sums/{stage}": {"sums"} for stage in stages}}
    plan = plan_of(backfill, store)
    assert plan.targets["rivers/nile"] == Target(26, plan.targets["rivers/nile"].expected_yield, 56)
    assert plan.targets["sums/sums"].most_written == PILOT, "nothing is known of it"
    assert backfill.title == "Cover - 2 wishes, 2 subtasks, 6 rounds"


@pytest.mark.usefixtures("catalog")
def test_nothing_missing_launches_nothing(instance: dg.DagsterInstance, store: Store) -> None:
    put(store, "rivers", "nile", written=9, accepted=8)

    result, backfills = launched(instance, wishes=[{"domain": "trivia", "rows": 8}])

    assert (result.success, backfills) == (True, [])


@pytest.mark.usefixtures("catalog")
def test_a_hole_that_nobody_can_fill_is_a_warning(instance: dg.DagsterInstance) -> None:
    wish = {"skill": "algebra", "rows": 8}
    result, backfills = launched(instance, wishes=[wish], without=["rivers/nile"])

    assert (result.success, backfills) == (True, [])
    logs = [event.user_message for event in instance.all_logs(result.run_id)]
    assert "algebra: 0 of 8 rows, and 8 cannot be written: no enabled subtask has such rows" in logs


@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"wishes": [{"skill": "sums", "rows": 5}]}, "wish 1: unknown skill 'sums'; "),
        ({"minimum": 0}, "minimum=0: must be at least 1"),
        ({"rounds": 0}, "rounds=0: must be at least 1"),
        ({"writers": ["river"]}, "unknown seed task 'river'; did you mean rivers?"),
        ({"without": ["rivers/nil"]}, "'rivers' has no subtask 'nil'; did you mean nile?"),
    ],
)
def test_a_wrong_config_is_a_clear_error_and_launches_nothing(
    instance: dg.DagsterInstance, config: dict[str, Any], message: str
) -> None:
    result, backfills = launched(instance, **config)

    (failure,) = failures(result)
    assert message in failure
    assert backfills == []


@pytest.mark.usefixtures("catalog")
def test_the_next_round_follows_without_the_subtasks_that_failed(
    instance: dg.DagsterInstance, store: Store
) -> None:
    assert tick(instance).skip_message == "the newest run of `cover` has launched nothing"
    _, (backfill,) = launched(instance, rounds=3, writers=["rivers/nile", "sums"])
    assert tick(instance).skip_message == "a round is under way"

    end(instance, backfill, BulkActionStatus.COMPLETED_FAILED)
    put(store, "sums", "sums", written=16, accepted=3)
    ticked = tick(instance)

    (request,) = ticked.run_requests
    config = request.run_config["ops"]["launch_cover"]["config"]
    assert (config["rounds"], config["without"]) == (2, ["rivers/nile"])
    assert config["writers"] == ["rivers/nile", "sums"]
    assert tick(instance, ticked.cursor).run_requests == [], "each round is followed up once"
    _, (newest, _) = launched(instance, **config)
    assert set(plan_of(newest, store).targets) == {"sums/sums"}


@pytest.mark.usefixtures("catalog")
def test_the_next_round_goes_on_without_what_the_catalog_has_no_longer(
    instance: dg.DagsterInstance, store: Store, tmp_path: Path, configure: Configure
) -> None:
    config = {"rounds": 3, "writers": ["rivers", "sums/sums"], "without": ["rivers/rhine"]}
    _, (backfill,) = launched(instance, **config)
    put(store, "sums", "sums", written=16, accepted=3)
    end(instance, backfill, BulkActionStatus.COMPLETED_SUCCESS)

    sums = {"task": "sums", "skills": ["arithmetic"], "subtasks": {"sums": {}}}
    configure(catalog=write_catalog(tmp_path / "smaller", sums))
    (request,) = tick(instance).run_requests
    config = request.run_config["ops"]["launch_cover"]["config"]
    assert (config["writers"], config["without"]) == (["sums/sums"], [])
    _, (newest, _) = launched(instance, **config)
    assert set(plan_of(newest, store).targets) == {"sums/sums"}

    seas = {"task": "seas", "subtasks": {"seas": {}}}
    configure(catalog=write_catalog(tmp_path / "other", seas))
    end(instance, newest, BulkActionStatus.COMPLETED_SUCCESS)
    assert tick(instance).skip_message == "none of its writers is enabled any more"


@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize("status", [BulkActionStatus.CANCELED, BulkActionStatus.COMPLETED_SUCCESS])
def test_no_round_follows_a_cancelled_or_the_last_one(
    instance: dg.DagsterInstance, status: BulkActionStatus
) -> None:
    _, (backfill,) = launched(instance, rounds=2 if status is BulkActionStatus.CANCELED else 1)
    end(instance, backfill, status)

    assert tick(instance).run_requests == []


def test_a_run_writes_what_its_plan_says(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    teacher = employ(ScriptedTeacher(write_and_solve))
    run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)
    plan = StoredPlan(
        made_at=datetime.now(UTC) - timedelta(minutes=1),
        request=CoverRequest(wishes=[Wish(rows=6)]),
        targets={"quiz/quiz_a": Target(6, expected_yield=1.0, most_written=6)},
    )
    write_plan(store, plan)

    tags = {"sdg/cover": plan.id}
    run("quiz", ["generated"], subtasks="quiz_a", instance=instance, tags=tags)

    asked = [request for request in teacher.requests if request.role == "writer"]
    assert len(asked) == 6
    made = metadata(instance, "quiz", "generated", "quiz_a")
    assert made["target"].startswith("6 of 6 rows after 1 rounds")
    with pytest.raises(PermanentError, match="this plan has no target for rivers/nile"):
        plan.target_of(seed_task(task="rivers", subtasks={"nile": {}}).resolve("nile"))
    with pytest.raises(PermanentError, match=r"cover=gone: no such plan \(.*run `cover` again"):
        read_plan(store, "gone")
