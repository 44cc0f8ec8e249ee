"""The recorded versions of each partition and its inputs, and the staleness they lead to."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from sdg_assets.assets.factory import task_assets
from sdg_assets.assets.teacher import TEACHERS, teacher_assets, version_of
from sdg_assets.assets.wiring import generated as wiring
from sdg_assets.catalog import cached_catalog
from sdg_assets.records import Role
from sdg_assets.settings import Settings, settings
from sdg_assets.stages.published import written_rows
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.requests import Request
from sdg_assets_tests.assets.quiz import put_rows, quiz
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.runs import failures, metadata, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.stages import ROW_ASSETS

BOTH = ("quiz_a", "quiz_b")


@pytest.fixture
def mirror(tmp_path: Path, configure: Configure) -> Path:
    return quiz(tmp_path, configure, *BOTH)


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> ScriptedTeacher:
    def answer(request: Request) -> str:
        if request.role is Role.WRITER:
            question = f"Which city has the number {request.id}?"
            return json.dumps({"question": question, "answer": "Oslo", "wrong_answers": ["Rome"]})
        return "I looked it up. Answer: Oslo"

    scripted = ScriptedTeacher(answer)

    def opened(_settings: Settings, _role: Role) -> ScriptedTeacher:
        return scripted

    monkeypatch.setattr("sdg_assets.teacher.open_teacher", opened)
    return scripted


def tags(instance: dg.DagsterInstance, stage: str, subtask: str) -> dict[str, str]:
    """The tags of the partition's only materialization."""
    result = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(["quiz", stage]), asset_partitions=[subtask]), limit=10
    )
    (record,) = result.records
    materialization = record.asset_materialization
    assert materialization
    assert materialization.tags is not None
    return dict(materialization.tags)


def status(instance: dg.DagsterInstance, stage: str, subtask: str) -> str:
    """The status in the UI: fresh, stale or missing."""
    definitions = dg.Definitions(
        assets=[teacher_assets(), *task_assets(cached_catalog(settings().catalog).task("quiz"))]
    )
    resolver = CachingStaleStatusResolver(
        instance,
        definitions.resolve_asset_graph(),
        LoadingContextForTest(instance),
    )
    stale_status: StaleStatus = resolver.get_status(dg.AssetKey(["quiz", stage]), subtask)
    return stale_status.value


def test_a_partition_has_its_contents_hash_as_version(
    mirror: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    run("quiz", ["seeds", "normalized"], subtasks=BOTH, instance=instance)

    for subtask in BOTH:
        seeds, normalized = (tags(instance, s, subtask) for s in ("seeds", "normalized"))
        sha256 = store.manifest(PartitionKey("quiz", "seeds", subtask)).sha256
        assert seeds["dagster/data_version"] == sha256
        assert normalized["dagster/input_data_version/quiz/seeds"] == sha256
        assert int(normalized["dagster/input_event_pointer/quiz/seeds"]) > 0


def test_good_partitions_of_a_failed_run_are_told_as_fully(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    run("quiz", ["seeds"], subtasks=BOTH, instance=instance)
    Store(settings().store).path(PartitionKey("quiz", "seeds", "quiz_b")).unlink()

    result = run("quiz", ["normalized"], subtasks=BOTH, instance=instance)

    assert not result.success
    seeds, normalized = tags(instance, "seeds", "quiz_a"), tags(instance, "normalized", "quiz_a")
    assert normalized["dagster/input_data_version/quiz/seeds"] == seeds["dagster/data_version"]
    assert normalized["dagster/code_version"] == result.run_id
    assert status(instance, "normalized", "quiz_a") == "FRESH"
    assert status(instance, "normalized", "quiz_b") == "MISSING"


def test_other_rows_make_the_partition_below_stale_and_no_other(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    run("quiz", ["seeds", "normalized"], subtasks=BOTH, instance=instance)
    put_rows(mirror, "quiz_b", rows=6)

    run("quiz", ["seeds"], subtasks=BOTH, instance=instance)

    assert status(instance, "normalized", "quiz_a") == "FRESH"
    assert status(instance, "normalized", "quiz_b") == "STALE"


def test_the_first_run_observes_its_teacher(
    mirror: Path, instance: dg.DagsterInstance, teacher: ScriptedTeacher
) -> None:
    run("quiz", ROW_ASSETS, subtasks=BOTH, instance=instance)

    for role, stage in ((Role.WRITER, "generated"), (Role.SOLVER, "enriched")):
        (record,) = instance.fetch_observations(TEACHERS[role], limit=10).records
        version = version_of(role, teacher.identity)
        assert (record.event_log_entry.tags or {})["dagster/data_version"] == version
        for subtask in BOTH:
            key = f"dagster/input_data_version/{TEACHERS[role].to_user_string()}"
            assert tags(instance, stage, subtask)[key] == version
    assert all(status(instance, stage, "quiz_a") == "FRESH" for stage in ROW_ASSETS)


def test_another_solver_makes_enriched_stale_and_generated_not(
    mirror: Path, instance: dg.DagsterInstance, teacher: ScriptedTeacher
) -> None:
    run("quiz", ROW_ASSETS, subtasks="quiz_a", instance=instance)

    other = {"dagster/data_version": "another"}
    instance.report_runless_asset_event(dg.AssetObservation(TEACHERS[Role.SOLVER], tags=other))

    assert status(instance, "enriched", "quiz_a") == "STALE"
    assert status(instance, "generated", "quiz_a") == "FRESH"


def test_a_partition_says_which_teacher_made_it(
    mirror: Path, instance: dg.DagsterInstance, teacher: ScriptedTeacher
) -> None:
    run("quiz", ROW_ASSETS, subtasks="quiz_a", instance=instance)

    made_by = teacher.identity.data_version
    assert made_by.startswith("scripted/teacher@r1")
    assert metadata(instance, "quiz", "generated", "quiz_a")["writer"] == made_by
    assert metadata(instance, "quiz", "enriched", "quiz_a")["solver"] == made_by


def test_a_retry_in_the_same_run_leaves_out_what_is_done(
    mirror: Path,
    instance: dg.DagsterInstance,
    teacher: ScriptedTeacher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run("quiz", ["seeds", "normalized"], subtasks=BOTH, instance=instance)
    worked: list[str] = []

    def fails_once(spec: object, *arguments: object, **more: object) -> object:
        worked.append(spec.key)  # type: ignore[attr-defined]
        if worked == ["quiz_a", "quiz_b"]:
            raise ConnectionError("the network was away")
        return written_rows(spec, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(wiring, "written_rows", fails_once)
    result = run("quiz", ["generated"], subtasks=BOTH, instance=instance)

    assert result.success, failures(result)
    assert worked == ["quiz_a", "quiz_b", "quiz_b"]
    assert tags(instance, "generated", "quiz_a")
    assert tags(instance, "generated", "quiz_b")


def test_knobs_in_a_runs_tags_stand_behind_its_config(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    keys = [dg.AssetKey(["quiz", "seeds"])]
    for config, rows in (({}, 3), ({"max_seeds": 2}, 2)):
        dg.materialize(
            task_assets(cached_catalog(settings().catalog).task("quiz")),
            selection=keys,
            partition_key="quiz_a",
            tags={"sdg/max_seeds": "3", "sdg/votes": "5"},
            instance=instance,
            run_config={"ops": {"quiz__seeds": {"config": config}}},
        )
        assert metadata(instance, "quiz", "seeds", "quiz_a")["rows"] == rows
