from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.records import Role, Stage
from sdg_assets.settings import Settings
from sdg_assets.stages import plan
from sdg_assets.stages.plan import (
    CHECK_TOKENS,
    PARSED_SHARE,
    PASSAGES_TOKENS,
    THOUGHT_TOKENS,
    VERIFIED_SHARE,
    RoughCounter,
    plan_subtask,
    thoughts_of,
    total,
)
from sdg_assets.stages.stage import key_of
from sdg_assets.store.partitions import Store
from sdg_assets_tests.benchmarks.made_up import MadeUpSource, made_up_rows
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.memory import bytes_a_row
from sdg_assets_tests.support.records import example


@pytest.mark.parametrize(
    ("settings", "votes_a_row"),
    [
        ({"votes": 5}, 4),  # three decide, or up to five
        ({"votes": 5, "majority": 0.7}, 4.5),
        ({"votes": 5, "adaptive_voting": False}, 5),
        ({"votes": 1}, 1),
    ],
)
def test_votes_are_planned_as_they_will_be_cast(
    settings: dict[str, object], votes_a_row: float
) -> None:
    run_settings = Settings(with_knowledge=False, with_judge=False, **settings)  # type: ignore[arg-type]

    planned = plan_subtask(
        seed_task().resolve("quiz"), [example()], RoughCounter(), run_settings, 1000
    )

    assert planned.requests == 1000 + 1000 * PARSED_SHARE * votes_a_row


def test_a_probe_answers_the_verified_rows() -> None:
    spec, rows = seed_task().resolve("quiz"), [example()]
    without, probing = (
        plan_subtask(spec, rows, RoughCounter(), each, 1000)
        for each in (Settings(), Settings(probe="smollm2-135m", probe_answers=8))
    )

    verified = 1000 * PARSED_SHARE * VERIFIED_SHARE
    assert probing.requests - without.requests == pytest.approx(8 * verified)
    assert probing.output_tokens > without.output_tokens


@pytest.mark.parametrize(
    ("settings", "reader"),
    [
        ({"with_judge": False}, Role.SOLVER),
        ({"with_judge": True, "judge_may_be_writer": True}, Role.JUDGE),
        ({"with_judge": True, "judge_api": "reward"}, Role.SOLVER),  # a score reads nothing
    ],
)
def test_a_background_from_passages_is_read_once_more(
    settings: dict[str, Any], reader: Role
) -> None:
    spec, rows = seed_task().resolve("quiz"), [example()]
    thoughts = {reader: 1000}
    from_memory, from_passages = (
        plan_subtask(spec, rows, RoughCounter(), each, 1000, thoughts)
        for each in (Settings(**settings), Settings(**settings, passages="embedded"))
    )

    verified = 1000 * PARSED_SHARE * VERIFIED_SHARE
    before, after = from_memory.roles[reader], from_passages.roles[reader]
    assert after.requests - before.requests == verified
    assert after.output_tokens - before.output_tokens == verified * (CHECK_TOKENS + 1000)
    assert from_passages.prompt_tokens - from_memory.prompt_tokens > verified * PASSAGES_TOKENS
    others = set(Role) - {reader, Role.SOLVER}
    assert all(from_memory.roles.get(r) == from_passages.roles.get(r) for r in others)


def test_passages_cost_nothing_without_backgrounds() -> None:
    spec, rows = seed_task().resolve("quiz"), [example()]
    without, with_passages = (
        plan_subtask(spec, rows, RoughCounter(), each, 1000)
        for each in (
            Settings(with_knowledge=False),
            Settings(with_knowledge=False, passages="embedded"),
        )
    )

    assert without == with_passages


def test_roles_add_up_to_the_plan_also_over_subtasks() -> None:
    spec, rows = seed_task().resolve("quiz"), [example()]
    run_settings = Settings(
        with_judge=True, judge_may_be_writer=True, probe="smollm2-135m", passages="embedded"
    )
    one = plan_subtask(spec, rows, RoughCounter(), run_settings, 1000)

    both = total([one, plan_subtask(spec, rows, RoughCounter(), run_settings, 500)])

    assert set(one.roles) == {Role.WRITER, Role.SOLVER, Role.JUDGE, Role.PROBE}
    for planned in (one, both):
        loads = planned.roles.values()
        assert planned.requests == sum(load.requests for load in loads)
        assert planned.output_tokens == sum(load.output_tokens for load in loads)
        assert planned.generated.requests == planned.roles[Role.WRITER].requests
    assert both.roles[Role.JUDGE].requests == pytest.approx(1.5 * one.roles[Role.JUDGE].requests)


def test_a_teacher_that_thinks_costs_its_thoughts() -> None:
    run_settings = Settings(teacher="qwen3-32b", thinking="writer:off", with_judge=False)
    thoughts = thoughts_of(run_settings)
    spec, rows = seed_task().resolve("quiz"), [example()]

    def tokens(expected: dict[Role, int]) -> int:
        return plan_subtask(spec, rows, RoughCounter(), run_settings, 1000, expected).output_tokens

    assert thoughts == {Role.WRITER: 0, Role.SOLVER: THOUGHT_TOKENS}
    solved = 1000 * PARSED_SHARE
    answers = solved * 2.5 + solved * VERIFIED_SHARE  # two votes decide, or three; backgrounds
    assert tokens(thoughts) - tokens({}) == pytest.approx(answers * THOUGHT_TOKENS)


def test_condensing_a_thought_reads_it_and_writes_a_trace() -> None:
    plain = Settings(teacher="qwen3-32b", with_judge=False)
    condensing = Settings(teacher="qwen3-32b", with_judge=False, reasoning="condensed")
    spec, rows = seed_task().resolve("quiz"), [example()]

    before, after = (
        plan_subtask(spec, rows, RoughCounter(), each, 1000, thoughts_of(each))
        for each in (plain, condensing)
    )

    verified = 1000 * PARSED_SHARE * VERIFIED_SHARE
    assert after.requests - before.requests == pytest.approx(verified)
    assert after.prompt_tokens - before.prompt_tokens > verified * THOUGHT_TOKENS


def test_a_teacher_without_thoughts_costs_none() -> None:
    assert set(thoughts_of(Settings(teacher="qwen2.5-coder-1.5b")).values()) == {0}


def put_normalized(store: Store, spec: SubtaskSpec, rows: int) -> None:
    for stage in (Stage.SEEDS, Stage.NORMALIZED):
        with store.write(key_of(spec, stage)) as out:
            for row in made_up_rows(spec, stage, rows):
                out.put(row)


@pytest.mark.parametrize(
    ("declared", "stored", "cap", "changes", "origin"),
    [
        (30, 30, None, {}, "the store"),
        (30, 30, 40, {}, "the store"),
        (30, 20, 20, {}, "the store"),
        (30, 3, None, {}, "samples"),
        (30, 3, 20, {}, "samples"),
        (30, 30, 20, {}, "samples"),
        (None, 30, None, {}, "samples"),
        (30, 30, None, {"split": "other"}, "samples"),
        (30, 30, None, {"dataset": "org/other"}, "samples"),
    ],
)
def test_stored_rows_are_counted_only_if_the_settings_would_make_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    declared: int | None,
    stored: int,
    cap: int | None,
    changes: dict[str, str],
    origin: str,
) -> None:
    spec = seed_task().resolve("quiz").model_copy(update={"rows": declared})
    put_normalized(Store(tmp_path), spec, stored)
    monkeypatch.setattr(plan, "open_source", lambda _: MadeUpSource(30))

    asked = spec.model_copy(update=changes)
    counted = plan.seeds_of(asked, Settings(store=tmp_path, max_seeds=cap))

    assert (counted.rows, counted.origin) == (min(30, cap or 30), origin)


def test_stored_rows_of_another_revision_or_of_replaced_seeds_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = seed_task().resolve("quiz")
    put_normalized(Store(tmp_path), spec, 20)
    settings = Settings(store=tmp_path, max_seeds=20)
    source = MadeUpSource(30)
    monkeypatch.setattr(plan, "open_source", lambda _: source)
    assert plan.seeds_of(spec, settings).origin == "the store"

    with monkeypatch.context() as other:
        other.setattr(source, "revision", lambda _: "2")
        assert plan.seeds_of(spec, settings).origin == "samples"
    with Store(tmp_path).write(key_of(spec, Stage.SEEDS)) as out:
        for row in made_up_rows(spec, Stage.SEEDS, 20):
            out.put(row)
    assert plan.seeds_of(spec, settings).origin == "samples"


def test_stored_rows_are_counted_where_the_source_cannot_be_asked(tmp_path: Path) -> None:
    spec = seed_task().resolve("quiz")
    put_normalized(Store(tmp_path), spec, 3)

    counted = plan.seeds_of(spec, Settings(store=tmp_path, seed_source="samples"))

    assert counted.rows == 3
    assert counted.origin == "the store, which could not be compared with samples"


@pytest.mark.parametrize("stage", [Stage.NORMALIZED, Stage.SEEDS])
def test_a_plan_counts_all_seeds_and_keeps_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    monkeypatch.setattr(plan, "SHOWN_SEEDS", 10)
    spec = seed_task().resolve("quiz")

    for rows in (100, 400) if stage is Stage.NORMALIZED else ():
        put_normalized(Store(tmp_path / f"{rows}"), spec, rows)

    def count(rows: int) -> None:
        monkeypatch.setattr(plan, "open_source", lambda _: MadeUpSource(rows))
        cap, origin = (rows, "the store") if stage is Stage.NORMALIZED else (None, "samples")
        counted = plan.seeds_of(spec, Settings(store=tmp_path / f"{rows}", max_seeds=cap))
        assert (len(counted.first), *counted[1:]) == (10, rows, origin)

    # From the source, `normalize` remembers a hash of each row.
    assert bytes_a_row(count, 100) < 200
