from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.assets.wiring import normalized as wiring
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.records import Example, Rejection, Role
from sdg_assets.stages.normalized import normalize
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.requests import Request
from sdg_assets_tests.conftest import Configure
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
from sdg_assets_tests.support.stages import ROW_ASSETS, STAGE_CHECKS


def test_a_range_run_materializes_each_partition_by_itself(
    mirror: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    result = run("quiz", ["seeds", "normalized"], subtasks=("quiz_a", "quiz_b"), instance=instance)

    assert result.success, failures(result)
    assert attempts(result) == 2  # one step per stage, not per partition
    assert materialized(instance, "quiz", "normalized") == {"quiz_a", "quiz_b"}
    for key in ("quiz_a", "quiz_b"):
        assert metadata(instance, "quiz", "normalized", key)["rows"] == 4
        evaluations = checks(result, "normalized", key)
        assert set(evaluations) == set(STAGE_CHECKS["normalized"])
        for evaluation in evaluations.values():
            target = evaluation.target_materialization_data
            assert target is not None
            assert target.run_id == result.run_id


@pytest.mark.parametrize("bad", ["quiz_a", "quiz_b"])
def test_a_partition_that_fails_leaves_the_results_of_the_others(
    mirror: Path, store: Store, instance: dg.DagsterInstance, bad: str
) -> None:
    (mirror / "org" / "quiz" / bad / "train.jsonl").unlink()
    good = {"quiz_a": "quiz_b", "quiz_b": "quiz_a"}[bad]

    result = run("quiz", ["seeds"], subtasks=("quiz_a", "quiz_b"), instance=instance)

    assert not result.success
    (message,) = failures(result)
    assert message.startswith(f"{bad}: quiz/{bad}: split 'train' is absent")
    assert good not in message
    assert materialized(instance, "quiz", "seeds") == {good}
    assert store.exists(PartitionKey("quiz", "seeds", good))
    assert not store.exists(PartitionKey("quiz", "seeds", bad))
    assert metadata(instance, "quiz", "seeds", good)["rows"] == 4


def test_even_a_bug_in_one_partition_leaves_the_results_of_the_others(
    mirror: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ("quiz_a", "quiz_b")
    run("quiz", ["seeds"], subtasks=both, instance=instance)

    def with_a_bug(spec: SubtaskSpec, *arguments: Any, **named: Any) -> Any:
        if spec.key == "quiz_b":
            raise ZeroDivisionError("division by zero")
        return normalize(spec, *arguments, **named)

    monkeypatch.setattr(wiring, "normalize", with_a_bug)
    result = run("quiz", ["normalized"], subtasks=both, instance=instance)

    (message,) = failures(result)
    assert "quiz_b: ZeroDivisionError: division by zero" in message
    assert materialized(instance, "quiz", "normalized") == {"quiz_a"}


def test_checks_of_the_good_partitions_are_evaluated_when_another_fails(
    mirror: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    run("quiz", ["seeds"], subtasks=("quiz_a", "quiz_b"), instance=instance)
    store.path(PartitionKey("quiz", "seeds", "quiz_b")).unlink()

    result = run("quiz", ["normalized"], subtasks=("quiz_a", "quiz_b"), instance=instance)

    assert not result.success
    assert materialized(instance, "quiz", "normalized") == {"quiz_a"}
    assert all(c.passed for c in checks(result, "normalized", "quiz_a").values())
    assert set(checks(result, "normalized", "quiz_a")) == set(STAGE_CHECKS["normalized"])
    assert checks(result, "normalized", "quiz_b") == {}


def test_a_broken_invariant_is_not_published_and_its_check_says_why(
    mirror: Path, store: Store, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ("quiz_a", "quiz_b")
    run("quiz", ["seeds", "normalized"], subtasks=both, instance=instance)
    before = store.manifest(PartitionKey("quiz", "normalized", "quiz_b"))

    def with_a_bug(*arguments: Any, **named: Any) -> Iterator[Example | Rejection]:
        for row in normalize(*arguments, **named):
            bad = isinstance(row, Example) and row.subtask == "quiz_b" and "1?" in row.question
            yield row.model_copy(update={"answer": "Oslo?"}) if bad else row

    monkeypatch.setattr(wiring, "normalize", with_a_bug)
    result = run("quiz", ["normalized"], subtasks=both, instance=instance)

    (message,) = failures(result)
    assert message.startswith(
        "quiz_b: quiz/normalized/quiz_b: schema: 1 of 4 seeds break it, more than "
        "broken_seeds=0.05 allows; the partition is not published. Fix the mapping; if the dataset "
        "itself is broken, move the limit in the task's YAML (`gates:`) and say why "
        "(`gates_because:`). Its refused rows are kept in "
    )
    assert attempts(result) == 1
    assert store.manifest(PartitionKey("quiz", "normalized", "quiz_b")) == before
    broken = checks(result, "normalized", "quiz_b")["schema"]
    assert (broken.passed, broken.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "answer is not its choice" in str(broken.metadata["offending_rows"].value)
    assert checks(result, "normalized", "quiz_a")["schema"].passed


def test_a_check_lists_every_partition_that_fails_it_and_shows_rows(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ, configure: Configure
) -> None:
    configure(min_yield=1, with_judge="false")
    answers: dict[str, str] = {}

    def err_on_every_fourth(request: Request) -> str:
        number = re.search(r"has the number (\w+)", request.messages[-1].content)
        if request.role is Role.WRITER or not number:
            return write_and_solve(request)
        answer = "Oslo" if len(answers) % 4 else "Rome"
        return f"Answer: {answers.setdefault(number[1], answer)}"

    employ(ScriptedTeacher(err_on_every_fourth))
    run("quiz", subtasks="quiz_a", instance=instance)
    result = run("quiz", subtasks="quiz_b", instance=instance)

    yield_check = checks(result, "filtered", "quiz_b")["yield"]
    assert not yield_check.passed
    assert str(yield_check.description).endswith(
        "verification refused most, 1 (majority disagrees 1). "
        "2 of 2 partitions fail this check: quiz_a, quiz_b"
    )
    assert "| verification: majority disagrees" in str(yield_check.metadata["offending_rows"].value)
    failing = str(yield_check.metadata["failing_partitions"].value)
    assert failing.startswith("2 of 2 partitions fail:")
    assert "[quiz_a](/assets/quiz/filtered?view=partitions&partition=quiz_a)" in failing
    passing = checks(result, "filtered", "quiz_b")["schema"]
    assert "failing_partitions" not in passing.metadata
    partition_metadata = metadata(instance, "quiz", "filtered", "quiz_b")
    assert "### verification: 1 rows" in partition_metadata["refused_samples"]
    assert partition_metadata["rejected_path"] == str(
        store.rejected_path(PartitionKey("quiz", "filtered", "quiz_b"))
    )


@pytest.mark.parametrize(("stage", "upstream"), [("normalized", "seeds"), ("filtered", "enriched")])
def test_a_corrupt_line_in_the_store(
    mirror: Path,
    store: Store,
    instance: dg.DagsterInstance,
    employ: Employ,
    stage: str,
    upstream: str,
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    run("quiz", ROW_ASSETS, subtasks="quiz_a", instance=instance)
    file = store.path(PartitionKey("quiz", upstream, "quiz_a"))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b'{"id": "torn\n', *lines[3:]]))

    message = failed(run("quiz", [stage], subtasks="quiz_a", instance=instance))

    assert message.startswith(f"quiz_a: {file}:3: not a ")
    assert message.endswith("materialize the partition again")


def test_a_re_run_stops_where_its_rows_are_stale_by_now_and_a_persons_run_does_not(
    mirror: Path, instance: dg.DagsterInstance, employ: Employ
) -> None:
    teacher = employ(ScriptedTeacher(write_and_solve))
    run("quiz", subtasks="quiz_a", instance=instance)
    other = {"dagster/data_version": "another"}
    instance.report_runless_asset_event(dg.AssetObservation(TEACHERS[Role.WRITER], tags=other))
    requests_before = len(teacher.requests)

    remade = {"remake_stale": "true"}
    result = run("quiz", ["enriched"], subtasks="quiz_a", instance=instance, tags=remade)

    assert failed(result).startswith(
        "quiz_a: superseded: quiz/generated/quiz_a has become stale (teacher/writer changed)"
    )
    assert attempts(result) == 1
    assert len(teacher.requests) == requests_before
    assert run("quiz", ["enriched"], subtasks="quiz_a", instance=instance).success
