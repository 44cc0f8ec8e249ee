from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.keys import BENCHMARKS
from sdg_assets.assets.operations import SHOWN, WHAT_TO_DO, State, operations_asset, page, state_of
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.catalog import cached_catalog, load_protected
from sdg_assets.definitions import build_definitions
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets_tests.assets.quiz import put_rows, quiz
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.runs import QUIET, failures, run

BOTH = ("quiz_a", "quiz_b")


@pytest.fixture
def mirror(tmp_path: Path, configure: Configure) -> Path:
    return quiz(tmp_path, configure, "quiz_a", "quiz_b")


def state(instance: dg.DagsterInstance) -> State:
    return state_of(instance, cached_catalog(settings().catalog))


def test_nothing_is_broken_before_anything_is_begun(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    current = state(instance)

    assert (current.broken, current.left, current.not_begun) == ({}, [], 2)
    assert page(current) == "Nothing is broken."


def test_a_failed_partition_is_listed_once_and_what_waits_for_it_is_not(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    (mirror / "org" / "quiz" / "quiz_b" / "train.jsonl").unlink()
    run("quiz", ["seeds"], subtasks=BOTH, instance=instance)

    assert state(instance).broken == {
        "failed": ["quiz/seeds/quiz_b"],
        "missing": ["quiz/heldout/quiz_a"],
    }


def test_what_was_made_from_older_rows_is_stale_and_the_same_rows_again_are_not(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    run("quiz", ["seeds", "normalized"], subtasks=BOTH, instance=instance)
    run("quiz", ["seeds"], subtasks=BOTH, instance=instance)
    assert state(instance).stale == []

    put_rows(mirror, "quiz_b", rows=5)
    run("quiz", ["seeds"], subtasks=BOTH, instance=instance)

    assert state(instance).stale == ["quiz/normalized/quiz_b"]


def test_what_left_the_catalog_is_listed_and_breaks_nothing(
    mirror: Path, tmp_path: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    run("quiz", ["seeds"], subtasks=BOTH, instance=instance)
    quiz(tmp_path / "later", configure, "quiz_b")

    current = state(instance)

    assert current.left == ["quiz/seeds/quiz_a"]
    assert current.broken == {"missing": ["quiz/heldout/quiz_b"]}


def page_and_check(instance: dg.DagsterInstance) -> tuple[dict[str, Any], dg.AssetCheckEvaluation]:
    result = dg.materialize(
        [operations_asset()],
        instance=instance,
        run_config={"loggers": QUIET},
        raise_on_error=False,
    )
    assert result.success, failures(result)
    (event,) = result.get_asset_materialization_events()
    (check,) = result.get_asset_check_evaluations()
    return {k: v.value for k, v in event.materialization.metadata.items()}, check


def test_the_page_counts_lists_and_says_what_to_do(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    run("quiz", ["seeds"], subtasks=BOTH, instance=instance)

    metadata, check = page_and_check(instance)

    assert (metadata["missing"], metadata["materialized"], metadata["failed"]) == (2, 2, 0)
    assert "### 2 missing" in metadata["page"]
    assert "- [quiz/heldout/quiz_a](/assets/quiz/heldout?view=" in metadata["page"]
    assert "one_task" in metadata["page"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "2 missing: the page says what to do"


def test_the_check_passes_when_nothing_is_broken(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    assert page_and_check(instance)[1].passed


def test_a_long_list_is_counted_exactly_and_shown_in_part() -> None:
    text = page(State(stale=[f"t/generated/s{n}" for n in range(SHOWN + 5)]))

    assert f"### {SHOWN + 5} stale" in text
    assert text.count("- [t/generated/") == SHOWN
    assert text.endswith("- and 5 more, of [t/generated](/assets/t/generated?view=partitions)")


def test_hashes_of_protected_benchmarks_are_never_offered_for_deletion(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    for name in ("hle", "forgotten"):
        instance.report_runless_asset_event(dg.AssetMaterialization(BENCHMARKS, partition=name))

    current = state(instance)

    # The hashes of a benchmark that left protected.yaml may be deleted: nothing depends on them.
    assert current.left == ["protected/heldout/forgotten"]


def test_benchmarks_without_which_nothing_is_normalized_are_broken_once_a_task_is_begun(
    mirror: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    names = {benchmark.name for benchmark in load_protected()}
    configure(without_benchmarks=",".join(names - {"hle", "gpqa"}))
    assert page_and_check(instance)[1].passed
    planned(instance, BENCHMARKS, "gpqa", dg.DagsterRunStatus.FAILURE)
    run("quiz", ["seeds"], subtasks="quiz_a", instance=instance)

    page_text = page_and_check(instance)[0]["page"]

    failed, missing = (page_text.index(f"### {n}") for n in ("1 failed", "2 missing"))
    assert failed < page_text.index("[protected/heldout/gpqa]") < missing
    assert page_text.index("[protected/heldout/hle]") > missing


def planned(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    partition: str,
    status: dg.DagsterRunStatus,
) -> str:
    """Records a run that should have made the partition and ended so; returns its id."""
    run = instance.create_run_for_job(
        build_definitions().resolve_implicit_global_asset_job_def(),
        asset_selection=frozenset({key}),
        status=status,
        tags={"dagster/partition": partition},
    )
    return run.run_id


def test_a_partition_whose_run_a_person_ended_is_not_called_failed(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    run("quiz", ["seeds"], subtasks=BOTH, instance=instance)
    key = dg.AssetKey(["quiz", "normalized"])
    ended = planned(instance, key, "quiz_a", dg.DagsterRunStatus.CANCELED)
    failed = planned(instance, key, "quiz_b", dg.DagsterRunStatus.FAILURE)

    current = state(instance)

    assert (current.ended, current.failed) == (
        ["quiz/normalized/quiz_a"],
        ["quiz/normalized/quiz_b"],
    )
    assert f"partition=quiz_a) – [run {ended[:8]}](/runs/{ended})" in page(current)
    assert f"partition=quiz_b) – [run {failed[:8]}](/runs/{failed})" in page(current)
    assert current.missing == []


def test_a_stale_partition_names_what_has_changed(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    run("quiz", ["seeds", "normalized"], subtasks=BOTH, instance=instance)
    put_rows(mirror, "quiz_b", rows=5)
    run("quiz", ["seeds"], subtasks=BOTH, instance=instance)

    assert (
        "- [quiz/normalized/quiz_b](/assets/quiz/normalized?view=partitions&partition=quiz_b) – "
        "[quiz/seeds](/assets/quiz/seeds?view=partitions&partition=quiz_b)"
    ) in page(state(instance)).splitlines()


def test_every_entry_of_every_list_links_to_its_page() -> None:
    names = {kind: f"quiz/enriched/{kind}" for kind in WHAT_TO_DO}
    current = State(
        failed=[names["failed"]],
        ended=[names["ended"]],
        stale=[names["stale"]],
        missing=[names["missing"]],
        left=[names["left"]],
        runs={names["failed"]: "run-1", names["ended"]: "run-2"},
        changed={names["stale"]: ["quiz/generated", "teacher/solver"]},
    )

    links = re.findall(r"\]\(([^)]+)\)", page(current))

    partition = "/assets/quiz/enriched?view=partitions&partition="
    assert links == [
        f"{partition}failed", "/runs/run-1",
        f"{partition}ended", "/runs/run-2",
        f"{partition}stale",
        "/assets/quiz/generated?view=partitions&partition=stale", "/assets/teacher/solver",
        f"{partition}missing",
        "/assets/quiz/enriched",
    ]  # fmt: skip


def test_another_version_of_a_teacher_makes_stale_what_it_made(
    mirror: Path, instance: dg.DagsterInstance
) -> None:
    tags = {
        "dagster/data_version": "d",
        f"dagster/input_data_version/{TEACHERS[Role.WRITER].to_user_string()}": "writer one",
    }
    key = dg.AssetKey(["quiz", "generated"])
    instance.report_runless_asset_event(dg.AssetMaterialization(key, partition="quiz_a", tags=tags))
    assert state(instance).stale == []

    observed = {"dagster/data_version": "writer two"}
    instance.report_runless_asset_event(dg.AssetObservation(TEACHERS[Role.WRITER], tags=observed))

    assert state(instance).stale == ["quiz/generated/quiz_a"]
