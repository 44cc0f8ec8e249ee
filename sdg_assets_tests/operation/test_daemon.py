"""A real deployment over time: failures, a teacher update, a new subtask, a killed run."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
import sqlalchemy

from sdg_assets.assets.jobs import launch, missing_of, partitions_of, unhashed_benchmarks
from sdg_assets.assets.keys import BENCHMARKS
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import cached_catalog, load_protected
from sdg_assets.settings import settings
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure, forget_settings, on_disk
from sdg_assets_tests.operation.deployment import Deployment, deployed, worker_of
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.runs import metadata
from sdg_assets_tests.support.stages import ROW_ASSETS, TASK_ASSETS
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

# The protected benchmarks that must be hashed before any row is normalized.
NEEDED = {"gpqa", "hle"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployment")


@pytest.fixture(scope="module")
def teacher() -> Iterator[TeacherServer]:
    with teacher_server(TeacherServer()) as running:
        yield running


@pytest.fixture(scope="module")
def environment(place: Path, teacher: TeacherServer) -> dict[str, str]:
    others = {benchmark.name for benchmark in load_protected()} - NEEDED
    return {
        "SDG_CATALOG": str(place / "catalog"),
        "SDG_SEED_SOURCE": f"mirror:{place / 'mirror'}",
        "SDG_STORE": str(place / "store"),
        "SDG_TEACHER": teacher.url,
        "SDG_CONCURRENCY": "2",
        "SDG_SENSOR_SECONDS": "2",
        "SDG_WITHOUT_BENCHMARKS": ",".join(sorted(others)),
    }


@pytest.fixture(scope="module")
def deployment(place: Path, environment: dict[str, str]) -> Iterator[Deployment]:
    offer(place, "first", "first_a")
    with deployed(place / "home", environment) as running:
        yield running


@pytest.fixture(autouse=True)
def same_settings(environment: dict[str, str], configure: Configure) -> None:
    """Gives the test the same settings as the deployment."""
    configure(**{name.removeprefix("SDG_").lower(): v for name, v in environment.items()})


def offer(place: Path, task: str, *subtasks: str, rows: int = 2) -> None:
    """Writes a catalog with one task of these subtasks, and their rows into the mirror."""
    for file in (place / "catalog").glob("*/*.yaml"):
        file.unlink()
    fields = {"task": task, "subtasks": {key: {"config": key} for key in subtasks}}
    write_catalog(place / "catalog", fields)
    for key in subtasks:
        put_rows(place, key, rows)
    cached_catalog.cache_clear()


def put_rows(place: Path, subtask: str, rows: int = 2) -> None:
    folder = place / "mirror" / "org" / "quiz" / subtask
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"question": f"Which city is {subtask} {n}?", "choices": ["Oslo", "Rome"], "label": n % 2}
        for n in range(rows)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in lines), "utf-8")


def backfill(
    deployment: Deployment, stages: Sequence[str] = TASK_ASSETS, missing: bool = False
) -> None:
    """Launches a backfill of the stages and waits until it is finished."""
    catalog = cached_catalog(settings().catalog)
    partitions = partitions_of(catalog.enabled())
    partitions = {key: keys for key, keys in partitions.items() if key.path[1] in stages}
    partitions = {**unhashed_benchmarks(), **partitions}
    if missing:
        partitions = missing_of(deployment.instance, partitions)
    launch(deployment.instance, catalog, partitions, "Test", {})
    deployment.wait(deployment.idle)


def times(deployment: Deployment, task: str, stage: str) -> Counter[str]:
    """Number of materializations of each partition."""
    result = deployment.instance.fetch_materializations(dg.AssetKey([task, stage]), limit=1000)
    return Counter(record.partition_key or "" for record in result.records)


def looked(deployment: Deployment, sensor: str) -> int:
    """Number of completed ticks of the sensor."""
    states = [s for s in deployment.instance.all_instigator_state() if s.name == sensor]
    ticks = [deployment.instance.get_ticks(s.instigator_origin_id, s.selector_id) for s in states]
    return sum(tick.is_completed for batch in ticks for tick in batch)


def let_look(deployment: Deployment, sensor: str, times: int = 3) -> None:
    """Waits for this many more ticks of the sensor."""
    now = looked(deployment, sensor)
    deployment.wait(lambda: looked(deployment, sensor) >= now + times)


def test_of_ten_partitions_one_fails_nine_go_on_and_the_retry_runs_one(
    deployment: Deployment, place: Path
) -> None:
    subtasks = [f"ten_{n}" for n in range(10)]
    nine = set(subtasks) - {"ten_6"}
    offer(place, "ten", *subtasks)
    (place / "mirror" / "org" / "quiz" / "ten_6" / "train.jsonl").unlink()
    deployment.reload()

    backfill(deployment, TASK_ASSETS[:3])

    assert deployment.instance.get_materialized_partitions(BENCHMARKS) == NEEDED
    for stage in ROW_ASSETS[:2]:
        assert times(deployment, "ten", stage) == dict.fromkeys(nine, 1)
    (failed,) = deployment.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))

    put_rows(place, "ten_6")
    again = deployment.re_execute_from_failure(failed.run_id)
    deployment.wait(deployment.idle)

    assert deployment.instance.get_run_by_id(again).is_success  # type: ignore[union-attr]
    assert times(deployment, "ten", "seeds") == dict.fromkeys(subtasks, 1)
    backfill(deployment, TASK_ASSETS[:3], missing=True)
    assert times(deployment, "ten", "normalized") == dict.fromkeys(subtasks, 1)


@pytest.fixture(scope="module")
def kept(deployment: Deployment, place: Path, environment: dict[str, str]) -> None:
    """A task whose two subtasks have finished all stages."""
    offer(place, "kept", "kept_a", "kept_b")
    deployment.reload()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        forget_settings()
        backfill(deployment)
    for stage in ROW_ASSETS:
        assert times(deployment, "kept", stage) == {"kept_a": 1, "kept_b": 1}


@pytest.mark.usefixtures("kept")
def test_a_new_teacher_has_what_is_there_made_again_and_one_more_during_that_once_again(
    deployment: Deployment, place: Path, teacher: TeacherServer
) -> None:
    before = {stage: times(deployment, "kept", stage) for stage in TASK_ASSETS}
    offer(place, "kept", "kept_a", "kept_b", "kept_missing")
    deployment.reload()
    with deployment.switched_on("remake_stale"):
        observe(deployment)
        let_look(deployment, "remake_stale")
        assert {s: times(deployment, "kept", s) for s in TASK_ASSETS} == before

        teacher.may_answer.clear()
        teacher.asked.clear()
        teacher.model = "scripted/two"
        observe(deployment, idle=False)
        deployment.wait(lambda: teacher.asked.total() > 0)
        teacher.model = "scripted/three"
        observe(deployment, idle=False)
        let_look(deployment, "remake_stale")
        teacher.may_answer.set()
        remade = before["filtered"].total() + 2
        deployment.wait(lambda: times(deployment, "kept", "filtered").total() == remade)
        deployment.wait(deployment.idle)
        let_look(deployment, "remake_stale", 5)
        assert deployment.idle()

    both = Counter(["kept_a", "kept_b"])
    # Votes on the rows of the second writer would have been wasted.
    again = {"generated": both + both, "enriched": both, "filtered": both}
    for stage in TASK_ASSETS:
        assert times(deployment, "kept", stage) == before[stage] + again.get(stage, Counter())
    made_by = metadata(deployment.instance, "kept", "generated", "kept_a")["writer"]
    assert made_by.startswith("scripted/three@")


def observe(deployment: Deployment, idle: bool = True) -> None:
    """Observes the teachers, as the hourly schedule does; `operations` is materialized after it."""

    def pages() -> int:
        result = deployment.instance.fetch_materializations(dg.AssetKey("operations"), limit=1000)
        return len(result.records)

    before = pages()
    deployment.materialize(*(key.path for key in TEACHERS.values()))
    deployment.wait(lambda: pages() > before)
    if idle:
        deployment.wait(deployment.idle)


@pytest.mark.usefixtures("kept")
def test_a_new_subtask_is_filled_and_one_that_leaves_is_kept(
    deployment: Deployment, place: Path
) -> None:
    before = {stage: times(deployment, "kept", stage) for stage in TASK_ASSETS}
    offer(place, "kept", "kept_a", "kept_b", "kept_new")
    deployment.reload()
    with deployment.switched_on("fill_missing"):
        deployment.wait(lambda: "kept_new" in times(deployment, "kept", "filtered"))
        deployment.wait(deployment.idle)
        let_look(deployment, "fill_missing")
        assert deployment.idle()
    for stage in ROW_ASSETS:
        assert times(deployment, "kept", stage) == before[stage] + Counter(["kept_new"])
    filling = [run for run in deployment.instance.get_runs() if "kept_new" in run.tags.values()]
    assert {run.tags["dagster/priority"] for run in filling} == {"1"}

    offer(place, "kept", "kept_a", "kept_new")
    deployment.reload()
    deployment.materialize(["operations"])
    deployment.wait(deployment.idle)
    (page,) = deployment.instance.fetch_materializations(dg.AssetKey("operations"), 1).records
    panel = page.asset_materialization.metadata  # type: ignore[union-attr]
    left = {f"- [kept/{stage}/kept_b](/assets/kept/{stage})" for stage in TASK_ASSETS}
    assert {line for line in str(panel["page"].value).splitlines() if "kept_b" in line} == left
    assert Store(settings().store).exists(PartitionKey("kept", "filtered", "kept_b"))


def test_a_killed_run_is_retried_and_asks_nothing_twice_that_was_answered(
    deployment: Deployment, place: Path, teacher: TeacherServer
) -> None:
    offer(place, "killed", "killed_a", rows=8)
    deployment.reload()
    teacher.asked.clear()
    teacher.answered.clear()
    teacher.seconds = 0.4
    catalog = cached_catalog(settings().catalog)
    launch(deployment.instance, catalog, partitions_of(catalog.enabled()), "Test", {})
    logs = on_disk(Store(settings().store).completions_dir("killed", "killed_a"))

    def finished_requests() -> int:
        return sum(log.read_bytes().count(b"\n") for log in logs.glob("*.jsonl"))

    deployment.wait(lambda: finished_requests() >= 3)

    os.kill(worker_of(deployment, "killed/generated"), signal.SIGKILL)
    finished = finished_requests()
    assert 3 <= finished < 8
    teacher.seconds = 0.0
    deployment.wait(lambda: "killed_a" in times(deployment, "killed", "filtered"))
    deployment.wait(deployment.idle)

    usage = metadata(deployment.instance, "killed", "generated", "killed_a")
    assert (usage["teacher_requests_reused"], usage["teacher_requests"]) == (finished, 8 - finished)
    written = [count for content, count in teacher.asked.items() if "You write new" in content]
    assert len(written) == 8
    assert sum(written) <= 8 + 2  # requests in flight
    assert times(deployment, "killed", "generated") == {"killed_a": 1}


def test_a_retry_that_the_daemon_lost_is_launched_all_the_same(deployment: Deployment) -> None:
    instance = deployment.instance
    run_id = deployment.materialize(["operations"])
    deployment.wait(deployment.idle)
    run = instance.get_run_by_id(run_id)
    assert run
    # What is left when the daemon reads the failure before the run has the status: no event to come
    # will make it look again.
    tags = {**run.tags, "dagster/will_retry": "true"}
    lost = run._replace(run_id=str(uuid4()), status=dg.DagsterRunStatus.FAILURE, tags=tags)
    instance.run_storage.add_run(lost)
    failed_at = datetime.now(UTC) - timedelta(minutes=2)
    with instance.run_storage.connect() as database:  # type: ignore[attr-defined]
        changed = sqlalchemy.text("UPDATE runs SET update_timestamp = :at WHERE run_id = :run")
        database.execute(changed, {"at": failed_at.replace(tzinfo=None), "run": lost.run_id})

    deployment.wait(lambda: repeated(instance, lost.run_id), seconds=60)
    deployment.wait(deployment.idle)

    (retry,) = repeated(instance, lost.run_id)
    assert retry.status is dg.DagsterRunStatus.SUCCESS
    assert retry.tags["dagster/retry_number"] == "1"


def repeated(instance: dg.DagsterInstance, run_id: str) -> Sequence[dg.DagsterRun]:
    """The runs that were launched as retries of a run."""
    return instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run_id}))
