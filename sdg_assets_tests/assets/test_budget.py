"""A run with a budget of tokens publishes what it has, says so, and a later run completes it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.assets.jobs import to_remake
from sdg_assets.assets.operations import page, state_of
from sdg_assets.catalog import cached_catalog
from sdg_assets.cluster.budget_names import budget_name
from sdg_assets.records import EnrichedExample, GeneratedExample
from sdg_assets.settings import settings
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.cities import Employ, numbered_cities, put_rows, write_and_solve
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

ROWS = 40
GENERATED = PartitionKey("quiz", "generated", "quiz_a")


@pytest.fixture
def teacher(mirror: Path, instance: dg.DagsterInstance, employ: Employ) -> ScriptedTeacher:
    """The teacher of normalized rows."""
    put_rows(mirror, "quiz_a", numbered_cities(ROWS))
    made = run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)
    assert made.success, failures(made)
    return employ(ScriptedTeacher(write_and_solve, capacity=4, gpus=1))


def generate(
    instance: dg.DagsterInstance, max_tokens: int | None = None, *stages: str
) -> dg.ExecuteInProcessResult:
    tags = {"sdg/max_tokens": str(max_tokens)} if max_tokens else {}
    chosen = list(stages) or ["generated"]
    return run("quiz", chosen, subtasks="quiz_a", instance=instance, tags=tags)


def tokens_of_a_draft(instance: dg.DagsterInstance) -> float:
    made = metadata(instance, "quiz", "generated", "quiz_a")
    return float((made["prompt_tokens"] + made["output_tokens"]) / made["teacher_requests"])


def test_a_budget_publishes_what_is_whole_and_a_run_without_one_asks_for_the_rest_alone(
    teacher: ScriptedTeacher, store: Store, instance: dg.DagsterInstance
) -> None:
    result = generate(instance, 1000)

    assert result.success, failures(result)
    asked = len(teacher.requests)
    assert 0 < asked < ROWS
    assert store.manifest(GENERATED).rows == asked
    assert store.manifest(GENERATED).info["usage"]["unfinished"] == ROWS - asked
    warning = checks(result, "generated", "quiz_a")["complete"]
    assert (warning.passed, warning.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert f"{ROWS - asked} of {ROWS} rows are not finished" in str(warning.description)
    assert metadata(instance, "quiz", "generated", "quiz_a")["rows_unfinished"] == ROWS - asked
    spent = metadata(instance, "quiz", "generated", "quiz_a")
    assert (
        1000
        <= spent["prompt_tokens"] + spent["output_tokens"]
        < 1000 + 5 * tokens_of_a_draft(instance)
    )

    state = state_of(instance, cached_catalog(settings().catalog))
    assert (state.incomplete, state.stale) == (["quiz/generated/quiz_a"], [])
    assert "A budget of tokens ended them" in page(state)
    tasks = cached_catalog(settings().catalog).enabled()
    assert to_remake(instance, tasks) == {dg.AssetKey(["quiz", "generated"]): ["quiz_a"]}

    result = generate(instance)

    assert result.success, failures(result)
    assert checks(result, "generated", "quiz_a")["complete"].passed
    assert store.manifest(GENERATED).rows == len(teacher.requests) == ROWS
    assert state_of(instance, cached_catalog(settings().catalog)).incomplete == []


def test_the_steps_of_a_run_share_its_budget_and_the_one_that_gets_nothing_is_not_retried(
    teacher: ScriptedTeacher, instance: dg.DagsterInstance
) -> None:
    result = generate(instance, 1000, "generated", "enriched")

    (message,) = failures(result)
    assert "quiz/enriched/quiz_a: the budget of tokens was used up before any of its" in message
    assert attempts(result) == 2  # one per stage
    assert materialized(instance, "quiz", "generated") == {"quiz_a"}
    assert materialized(instance, "quiz", "enriched") == set()


def test_rows_whose_votes_are_complete_are_published_and_each_has_its_price(
    teacher: ScriptedTeacher, store: Store, instance: dg.DagsterInstance, configure: Configure
) -> None:
    price = '{"prompt": 1000000, "output": 2000000}'
    configure(prices=f'{{"currency": "EUR", "teachers": {{"scripted/teacher": {price}}}}}')
    assert generate(instance).success

    result = generate(instance, 3000, "enriched")

    assert result.success, failures(result)
    key = PartitionKey("quiz", "enriched", "quiz_a")
    rows = list(store.read(key, EnrichedExample))
    assert 0 < len(rows) < ROWS
    assert all(row.verified and row.knowledge for row in rows)
    assert len(rows) + store.manifest(key).info["usage"]["unfinished"] == ROWS
    assert generate(instance, None, "enriched", "filtered").success
    assert len(list(store.read(key, EnrichedExample))) == ROWS
    # A draft, two votes and a background a row, none of them twice.
    assert len(teacher.requests) == 4 * ROWS

    drafts, solved, passed = (
        metadata(instance, "quiz", stage, "quiz_a")
        for stage in ("generated", "enriched", "filtered")
    )
    money = drafts["prompt_tokens"] + 2 * drafts["output_tokens"]
    assert drafts["cost_per_row"] == pytest.approx(money / ROWS)
    assert passed["cost_per_row"] >= solved["cost_per_row"] > drafts["cost_per_row"]
    assert passed["tokens_per_row"] > drafts["tokens_per_row"]
    assert (passed["cost_currency"], passed["gpu_seconds_per_row"] >= 0) == ("EUR", True)
    assert f"| solver | scripted/teacher | {3 * ROWS} |" in passed["cost"]


def test_a_published_version_with_far_more_rows_is_not_replaced(
    teacher: ScriptedTeacher, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    assert generate(instance).success
    before = store.manifest(GENERATED)
    stamp = teacher.identity.stamp.model_copy(update={"revision": "r2"})
    employ(ScriptedTeacher(write_and_solve, stamp=stamp, capacity=4))

    message = failed(generate(instance, 1000))

    assert "the budget of tokens was used up" in message
    assert "accept_smaller" in message
    assert store.manifest(GENERATED) == before


def test_a_target_ends_with_what_is_written_and_voted_on(
    teacher: ScriptedTeacher, store: Store, instance: dg.DagsterInstance
) -> None:
    tags = {"sdg/target_accepted": "30", "sdg/max_tokens": "9000"}
    stages = ["generated", "enriched"]
    result = run("quiz", stages, subtasks="quiz_a", instance=instance, tags=tags)

    assert result.success, failures(result)
    made = metadata(instance, "quiz", "generated", "quiz_a")
    assert "the budget of tokens was used up" in made["target"]
    accepted = int(made["target"].split()[0])
    assert 0 < accepted < 30
    rows = list(store.read(PartitionKey("quiz", "enriched", "quiz_a"), EnrichedExample))
    assert len(rows) >= accepted, "what was voted on in `generated` is in the log"
    written = list(store.read(GENERATED, GeneratedExample))
    assert len(written) >= len(rows)


def test_runs_of_a_backfill_and_retries_of_a_run_have_one_budget(
    instance: dg.DagsterInstance,
) -> None:
    first = instance.add_run(dg.DagsterRun("answers"))
    crashed = {"dagster/retry_number": "1"}
    retry = instance.add_run(
        dg.DagsterRun("answers", tags=crashed, parent_run_id=first.run_id, root_run_id=first.run_id)
    )
    again = instance.add_run(
        dg.DagsterRun("answers", parent_run_id=first.run_id, root_run_id=first.run_id)
    )
    of_backfill = instance.add_run(dg.DagsterRun("answers", tags={"dagster/backfill": "many"}))

    assert budget_name(instance, retry) == budget_name(instance, first) == first.run_id
    assert budget_name(instance, again) == again.run_id
    assert budget_name(instance, of_backfill) == "many"
