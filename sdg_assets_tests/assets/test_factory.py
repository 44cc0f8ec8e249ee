from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.factory import task_assets
from sdg_assets.assets.wiring import seeds as wiring
from sdg_assets.catalog import cached_catalog
from sdg_assets.records import EnrichedExample
from sdg_assets.sandbox.policy import may_run_unisolated
from sdg_assets.settings import settings
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import seed_task, write_catalog
from sdg_assets_tests.support.cities import Employ, write_and_solve
from sdg_assets_tests.support.runs import checks, failed, failures, materialized, metadata, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.stages import ROW_ASSETS, STAGE_CHECKS, TEACHER_ASSETS


def test_a_task_is_five_assets_in_a_group_of_its_own() -> None:
    assets = task_assets(seed_task())

    assert [a.key.path for a in assets] == [["quiz", stage] for stage in ROW_ASSETS]
    for asset in assets:
        spec = asset.get_asset_spec()
        assert spec.group_name == "quiz"
        assert (
            spec.tags.items()
            >= {
                "family": "knowledge",
                "domain": "trivia",
                "licence": "MIT",
                "answer_kind": "multiple_choice",
            }.items()
        )


def test_partitions_are_the_subtasks_that_are_switched_on() -> None:
    off = {"enabled": False, "why": "too dull"}
    task = seed_task(subtasks={"quiz_a": {}, "quiz_b": off, "quiz_c": {}})

    for asset in task_assets(task):
        assert asset.partitions_def is not None
        assert asset.partitions_def.get_partition_keys() == ["quiz_a", "quiz_c"]


def test_a_stage_depends_on_what_it_reads() -> None:
    upstream = {
        a.key.path[1]: {"/".join(d.asset_key.path) for d in a.get_asset_spec().deps}
        for a in task_assets(seed_task())
    }

    assert upstream == {
        "seeds": set(),
        "normalized": {"quiz/seeds", "quiz/heldout", "protected/heldout"},
        "generated": {"quiz/normalized", "teacher/writer"},
        "enriched": {
            "quiz/generated",
            "quiz/normalized",
            "teacher/solver",
            "teacher/judge",
            "teacher/probe",
        },
        "filtered": {"quiz/enriched", "quiz/normalized", "quiz/heldout", "protected/heldout"},
    }


def test_every_stage_has_a_backfill_policy_value_of_its_own() -> None:
    # Dagster joins stages with equal policies, and a failed subtask would then block its siblings.
    sizes = [
        asset.backfill_policy.max_partitions_per_run
        for asset in task_assets(seed_task())
        if asset.backfill_policy
    ]

    assert len(set(sizes)) == len(ROW_ASSETS)


def test_stages_with_a_teacher_take_turns_on_the_gpu() -> None:
    pools = {a.key.path[1]: a.op.pool for a in task_assets(seed_task())}

    assert {stage for stage, pool in pools.items() if pool == "gpu"} == set(TEACHER_ASSETS)


def test_checks_are_partitioned_like_their_asset() -> None:
    for asset in task_assets(seed_task()):
        specs = list(asset.check_specs)
        assert tuple(s.name for s in specs) == STAGE_CHECKS[asset.key.path[1]]
        assert all(s.partitions_def == asset.partitions_def for s in specs)


def test_a_partition_goes_through_all_stages_and_the_funnel_adds_up(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    teacher = employ(ScriptedTeacher(write_and_solve))

    result = run("quiz", subtasks="quiz_a", instance=instance)

    assert result.success, failures(result)
    came_in = 4
    for stage in ROW_ASSETS:
        assert materialized(instance, "quiz", stage) == {"quiz_a"}
        shown_metadata = metadata(instance, "quiz", stage, "quiz_a")
        manifest = store.manifest(PartitionKey("quiz", stage, "quiz_a"))
        assert (
            shown_metadata["rows"] == shown_metadata["dagster/partition_row_count"] == manifest.rows
        )
        assert shown_metadata["rows"] + shown_metadata["rows_rejected"] == came_in
        assert shown_metadata["path"] == str(store.path(PartitionKey("quiz", stage, "quiz_a")))
        assert f"| accepted | {manifest.rows} |" in shown_metadata["funnel"]
        came_in = manifest.rows
        evaluations = checks(result, stage, "quiz_a")
        assert set(evaluations) == set(STAGE_CHECKS[stage])
        assert all(evaluation.passed for evaluation in evaluations.values())
    rows = list(store.read(PartitionKey("quiz", "filtered", "quiz_a"), EnrichedExample))
    assert len(rows) == 4
    assert {r.completion_id for r in rows} <= {r.id for r in teacher.requests}
    shown_metadata = metadata(instance, "quiz", "generated", "quiz_a")
    assert (shown_metadata["teacher_requests"], shown_metadata["teacher_requests_reused"]) == (4, 0)
    assert shown_metadata["output_tokens"] > 0
    assert "**Answer:** Oslo" in shown_metadata["samples"]
    assert "answers_corrected" not in metadata(instance, "quiz", "enriched", "quiz_a")
    shown_metadata = metadata(instance, "quiz", "filtered", "quiz_a")
    assert shown_metadata["writer"] == shown_metadata["solver"] == "scripted/teacher@r1"


def test_a_second_run_asks_the_teacher_nothing(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    run("quiz", subtasks="quiz_a", instance=instance)
    before = store.manifest(PartitionKey("quiz", "filtered", "quiz_a"))
    silent = employ(ScriptedTeacher(write_and_solve))

    assert run("quiz", subtasks="quiz_a", instance=instance).success

    assert silent.requests == []
    assert store.manifest(PartitionKey("quiz", "filtered", "quiz_a")).sha256 == before.sha256
    assert metadata(instance, "quiz", "enriched", "quiz_a")["teacher_requests_reused"] == 12


def test_run_config_goes_before_the_environment(
    mirror: Path,
    instance: dg.DagsterInstance,
    employ: Employ,
    configure: Configure,
) -> None:
    configure(max_seeds=3, votes=1)
    teacher = employ(ScriptedTeacher(write_and_solve))

    config = {"seeds": {"max_seeds": 2}, "generated": {"examples_per_seed": 3}}
    run("quiz", subtasks="quiz_a", instance=instance, config=config)

    assert metadata(instance, "quiz", "seeds", "quiz_a")["rows"] == 2
    assert metadata(instance, "quiz", "generated", "quiz_a")["rows"] == 6
    votes = [r for r in teacher.requests if r.prompt_version.startswith("solve")]
    assert len(votes) == 6


def test_a_catalog_file_that_was_broken_since_the_code_was_loaded(
    tmp_path: Path, mirror: Path, instance: dg.DagsterInstance
) -> None:
    assets = task_assets(cached_catalog(settings().catalog).task("quiz"))
    file = tmp_path / "catalog" / "knowledge" / "quiz.yaml"
    file.write_text("task: [quiz\n", "utf-8")
    cached_catalog.cache_clear()

    result = dg.materialize(
        assets[:1], partition_key="quiz_a", instance=instance, raise_on_error=False
    )

    message = failed(result)
    assert message.startswith(f"quiz_a: catalog:\n{file}: not YAML: ")
    assert "line 2" in message


def test_a_subtask_that_left_the_catalog(
    tmp_path: Path, mirror: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    assets = task_assets(cached_catalog(settings().catalog).task("quiz"))
    configure(catalog=write_catalog(tmp_path / "later", {"subtasks": {"quiz_b": {}}}))

    result = dg.materialize(
        assets[:1], partition_key="quiz_a", instance=instance, raise_on_error=False
    )

    assert failed(result) == (
        "quiz_a: seed task 'quiz' has no subtask 'quiz_a'; did you mean quiz_b?"
    )


def test_an_unknown_partition_is_named(mirror: Path, instance: dg.DagsterInstance) -> None:
    with pytest.raises(dg.DagsterError, match="quiz_z"):
        run("quiz", ["seeds"], subtasks="quiz_z", instance=instance)


@pytest.mark.parametrize("allowed", [True, False])
def test_programs_may_run_unprotected_in_a_partitions_work_only_if_the_settings_allow_it(
    mirror: Path,
    instance: dg.DagsterInstance,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
    allowed: bool,
) -> None:
    configure(allow_unsandboxed_code=allowed)
    permissions: list[bool] = []

    def recording(*arguments: Any, **named: Any) -> Any:
        permissions.append(may_run_unisolated())
        return collect_seeds(*arguments, **named)

    monkeypatch.setattr(wiring, "collect_seeds", recording)

    assert run("quiz", ["seeds"], subtasks="quiz_a", instance=instance).success
    assert permissions == [allowed]
    assert not may_run_unisolated()
