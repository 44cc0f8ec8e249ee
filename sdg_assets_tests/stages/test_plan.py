from __future__ import annotations

import pytest

from sdg_assets.records import Role
from sdg_assets.settings import Settings
from sdg_assets.stages.plan import (
    PARSED_SHARE,
    THOUGHT_TOKENS,
    VERIFIED_SHARE,
    RoughCounter,
    plan_subtask,
    thoughts_of,
)
from sdg_assets_tests.support.builders import seed_task
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
