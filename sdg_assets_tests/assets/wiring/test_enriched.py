from __future__ import annotations

import re
from itertools import count
from pathlib import Path

import dagster as dg

from sdg_assets.catalog import cached_catalog
from sdg_assets.records import EnrichedExample, Role
from sdg_assets.settings import settings
from sdg_assets.stages.funnel import funnel_row
from sdg_assets.stages.matrix import difficulties_in
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.requests import Completion, Request
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.cities import Employ, numbered_cities, put_rows, write_and_solve
from sdg_assets_tests.support.runs import checks, failures, metadata, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion


def test_a_solver_that_broke_leaves_the_good_rows_until_a_person_accepts_the_loss(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ
) -> None:
    put_rows(mirror, "quiz_a", numbered_cities(20))
    sound_teacher = employ(ScriptedTeacher(write_and_solve))
    assert run("quiz", subtasks="quiz_a", instance=instance).success
    key = PartitionKey("quiz", "enriched", "quiz_a")
    before = store.manifest(key)

    def broken(request: Request) -> str:
        return write_and_solve(request) if request.role is Role.WRITER else "I cannot say."

    stamp = sound_teacher.identity.stamp.model_copy(update={"revision": "broken"})
    employ(ScriptedTeacher(broken, stamp=stamp))
    result = run("quiz", ["enriched", "filtered"], subtasks="quiz_a", instance=instance)

    assert store.manifest(key) == before
    rows = checks(result, "enriched", "quiz_a")["rows"]
    assert (rows.passed, rows.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert rows.metadata["rows_before"].value == 20
    assert rows.metadata["rows"].value == 0
    assert "run it again with accept_smaller" in str(rows.description)
    assert "| unsolvable | 20 | 0 |" in str(rows.metadata["reasons"].value)
    assert len(list(store.read(PartitionKey("quiz", "filtered", "quiz_a"), EnrichedExample))) == 20

    knob = {"enriched": {"accept_smaller": True}}
    accepted = run("quiz", ["enriched"], subtasks="quiz_a", instance=instance, config=knob)
    assert accepted.success, failures(accepted)
    assert store.manifest(key).info["verified"] == 0


def test_rows_whose_votes_were_cut_off_say_so_and_are_made_again_with_a_higher_limit(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ, configure: Configure
) -> None:
    def limited(request: Request) -> str | Completion:
        question = re.search(r"number (\w+)\?", request.messages[-1].content)
        is_long = question is not None and question[1] < "8"
        if request.role is Role.SOLVER and is_long and request.sampling.max_tokens < 1_000:
            return completion(request, "", "thinking")
        return write_and_solve(request)

    put_rows(mirror, "quiz_a", numbered_cities(20))
    employ(ScriptedTeacher(limited))
    result = run("quiz", subtasks="quiz_a", instance=instance)

    assert result.success, failures(result)
    refused = list(store.read_rejected(PartitionKey("quiz", "filtered", "quiz_a")))
    assert 5 < len(refused) < 15
    assert {(r.gate, r.reason) for r in refused} == {("verification", "truncated while thinking")}
    made = metadata(instance, "quiz", "enriched", "quiz_a")
    assert made["votes_cut_off"] == made["finish_thinking"] == 2 * len(refused)
    info = store.manifest(PartitionKey("quiz", "enriched", "quiz_a")).info
    assert info["outcomes"]["truncated_while_thinking"] == len(refused)

    configure(solver_max_tokens=2_000)
    again = run("quiz", ["enriched", "filtered"], subtasks="quiz_a", instance=instance)

    assert again.success, failures(again)
    assert store.manifest(PartitionKey("quiz", "filtered", "quiz_a")).rows == 20


def test_rows_are_judged_by_a_teacher_that_can_and_by_no_other(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ, configure: Configure
) -> None:
    employ(ScriptedTeacher(write_and_solve))

    def scores() -> set[float | None]:
        assert run("quiz", subtasks="quiz_a", instance=instance).success
        rows = store.read(PartitionKey("quiz", "filtered", "quiz_a"), EnrichedExample)
        return {row.judge.score if row.judge else None for row in rows}

    assert scores() == {None}, "the embedded teacher cannot judge"
    configure(judge="Qwen/Qwen3-32B", judge_may_be_writer=True)
    assert scores() == {1.0}
    configure(with_judge=False)
    assert scores() == {None}


def test_a_probe_gives_rows_a_pass_rate_of_which_a_threshold_keeps_a_range(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ, configure: Configure
) -> None:
    numbers = count()

    def answer(request: Request) -> str:
        if request.role is Role.PROBE:  # it is right at every third row, and at one answer more
            return f"Answer: {'Oslo' if next(numbers) % 12 < 5 else 'Rome'}"
        return write_and_solve(request)

    employ(ScriptedTeacher(answer))
    configure(probe="smollm2-135m", gates='{"max_pass_rate": 0.9}')
    put_rows(mirror, "quiz_a", numbered_cities(9))

    result = run("quiz", subtasks="quiz_a", instance=instance)

    assert result.success, failures(result)
    rows = list(store.read(PartitionKey("quiz", "enriched", "quiz_a"), EnrichedExample))
    assert sorted(row.pass_rate or 0 for row in rows) == [0] * 3 + [0.25] * 3 + [1] * 3
    made = metadata(instance, "quiz", "enriched", "quiz_a")
    assert made["pass_rate"] == 0.4167
    assert "| 1.00 | 3 ████" in made["pass_rates"]
    assert (made["rows_probed"], made["probe_right_answers"]) == (9, 15)
    refused = store.read_rejected(PartitionKey("quiz", "filtered", "quiz_a"))
    assert {(r.gate, r.reason) for r in refused} == {("difficulty", "too easy")}
    spec = cached_catalog(settings().catalog).subtask("quiz", "quiz_a")
    assert difficulties_in(store, [spec])["quiz_a"] == {
        "probe passes rarely": 3,
        "probe passes sometimes": 3,
    }
    assert funnel_row(store, spec).pass_rate == 15 / 36
