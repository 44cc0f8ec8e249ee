from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.records import GeneratedExample
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure, on_disk
from sdg_assets_tests.support.cities import Employ, write_and_solve
from sdg_assets_tests.support.runs import (
    attempts,
    checks,
    failed,
    failures,
    materialized,
    metadata,
    run,
)
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.stages import ROW_ASSETS


def test_another_teacher_is_asked_afresh(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    first = employ(ScriptedTeacher(write_and_solve))
    run("quiz", ROW_ASSETS[:3], subtasks="quiz_a", instance=instance)
    stamp = first.identity.stamp.model_copy(update={"revision": "r2"})
    second = employ(ScriptedTeacher(write_and_solve, stamp=stamp))

    run("quiz", ["generated"], subtasks="quiz_a", instance=instance)

    assert len(second.requests) == len(first.requests) == 4
    logs = on_disk(store.completions_dir("quiz", "quiz_a")).iterdir()
    assert len([log for log in logs if log.name.startswith("writer-")]) == 2
    rows = store.read(PartitionKey("quiz", "generated", "quiz_a"), GeneratedExample)
    assert {row.teacher.revision for row in rows} == {"r2"}


def test_a_teacher_that_writes_nothing_usable_fails_its_stage_and_says_why(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    employ(ScriptedTeacher(lambda _: "What?"))

    result = run("quiz", subtasks="quiz_a", instance=instance)

    (message,) = failures(result)
    assert message.startswith(
        "quiz_a: quiz/generated/quiz_a: rows: 0 of 4 rows are left. Most frequent reasons: "
        "generation: unparsable 4. A partition without rows is not published"
    )
    rows = checks(result, "generated", "quiz_a")["rows"]
    assert (rows.passed, rows.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert not any(check.passed for check in checks(result, "generated", "quiz_a").values())
    assert materialized(instance, "quiz", "generated") == set()
    assert materialized(instance, "quiz", "enriched") == set()


@pytest.mark.parametrize("together", [True, False])
def test_rows_are_written_until_enough_pass_as_the_run_itself_will_vote(
    mirror: Path, instance: dg.DagsterInstance, employ: Employ, together: bool
) -> None:
    teacher = employ(ScriptedTeacher(write_and_solve))
    knobs = {"sdg/target_accepted": "4", "sdg/votes": "5"}
    run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)

    if together:
        config = {"generated": {"target_accepted": 4}, "enriched": {"votes": 5}}
        stages = ["generated", "enriched"]
        run("quiz", stages, subtasks="quiz_a", instance=instance, config=config)
    else:
        run("quiz", ["generated"], subtasks="quiz_a", instance=instance, tags=knobs)

    votes = [r for r in teacher.requests if r.prompt_version.startswith("solve")]
    written = metadata(instance, "quiz", "generated", "quiz_a")["rows"]
    # Of five planned votes, at least three must agree to decide.
    assert len(votes) == 3 * written
    if together:
        assert metadata(instance, "quiz", "enriched", "quiz_a")["teacher_requests"] == 0


def test_a_damaged_line_in_the_completion_log_is_asked_again_and_said(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    run("quiz", ROW_ASSETS[:3], subtasks="quiz_a", instance=instance)
    before = store.manifest(PartitionKey("quiz", "generated", "quiz_a")).sha256
    (log,) = on_disk(store.completions_dir("quiz", "quiz_a")).iterdir()
    log.write_bytes(log.read_bytes().replace(b"number", b"nunber", 1))
    second = employ(ScriptedTeacher(write_and_solve))

    result = run("quiz", ["generated"], subtasks="quiz_a", instance=instance)

    assert result.success, failures(result)
    assert len(second.requests) == 1
    assert store.manifest(PartitionKey("quiz", "generated", "quiz_a")).sha256 == before
    warnings = [e.user_message for e in instance.all_logs(result.run_id)]
    assert any(f"damaged lines: 1 ({log}:1)" in warning for warning in warnings)


def test_a_model_path_that_does_not_exist(
    mirror: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)
    configure(teacher="/no/such/model")

    message = failed(run("quiz", ["generated"], subtasks="quiz_a", instance=instance))

    assert message.startswith("quiz_a: unknown teacher '/no/such/model': not a directory, nor ")
    assert "smollm2-135m" in message


def test_a_directory_that_holds_no_model(
    tmp_path: Path, mirror: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)
    configure(teacher=tmp_path)

    message = failed(run("quiz", ["generated"], subtasks="quiz_a", instance=instance))

    assert message == (
        f"quiz_a: teacher {tmp_path}: not a model's directory, it has no config.json"
    )


def test_what_may_pass_is_tried_again(
    mirror: Path,
    store: Store,
    instance: dg.DagsterInstance,
    employ: Employ,
) -> None:
    # In the first attempt the teacher dies after two of four answers.
    employ(ScriptedTeacher(write_and_solve, fails_after=2))
    run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)

    result = run("quiz", ["generated"], subtasks="quiz_a", instance=instance)

    assert attempts(result) == 2
    (message,) = failures(result)
    assert "quiz_a: the engine died" in message
    (log,) = on_disk(store.completions_dir("quiz", "quiz_a")).iterdir()
    assert len(log.read_bytes().splitlines()) == 2
    healthy = employ(ScriptedTeacher(write_and_solve))
    assert run("quiz", ["generated"], subtasks="quiz_a", instance=instance).success
    assert len(healthy.requests) == 2
