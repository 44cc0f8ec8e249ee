from __future__ import annotations

import pytest

from sdg_assets.gates import Batch, judge
from sdg_assets.gates.judge import JudgeThresholds
from sdg_assets.records import Judgement, Refusal
from sdg_assets_tests.support.records import STAMP, enriched, judgement


def refusal_of(judgement: Judgement | None, **thresholds: float) -> Refusal | None:
    gate = judge.gate(JudgeThresholds(**thresholds))
    return gate.refusals(Batch([enriched(judge=judgement)])).get(0)


def reward(score: float, *reasons: str) -> Judgement:
    return Judgement(score=score, reasons=list(reasons), judge=STAMP, prompt_version="judge/reward")


def test_a_row_without_a_judge_passes() -> None:
    assert refusal_of(None) is None


def test_a_good_row_passes() -> None:
    assert refusal_of(judgement(1.0)) is None
    assert refusal_of(judgement(0.5)) is None


def test_one_bad_criterion_is_enough_and_names_the_reason() -> None:
    refusal = refusal_of(judgement(1.0, one_right_answer=0.25))

    assert refusal
    assert (refusal.gate, refusal.reason) == ("judge", "not one right answer")
    assert refusal.detail == "dull"
    assert refusal.scores["one_right_answer"] == 0.25
    assert refusal.scores["score"] == pytest.approx(0.85)


def test_the_thresholds_are_settings() -> None:
    assert refusal_of(judgement(1.0, harmless=0.25), judge_criterion=0.25) is None
    refusal = refusal_of(judgement(0.75), judge_score=0.8)
    assert refusal
    assert refusal.reason == "low score"


def test_a_reward_has_one_score_alone() -> None:
    assert refusal_of(reward(0.6)) is None
    refusal = refusal_of(reward(0.4))
    assert refusal
    assert (refusal.reason, refusal.scores) == ("low score", {"score": 0.4})


def test_a_comment_may_begin_with_any_word() -> None:
    comment = "unreadable handwriting is what the question asks about, and it asks clearly"

    assert refusal_of(judgement(1.0).model_copy(update={"reasons": [comment]})) is None


def test_an_unreadable_judgement_never_lets_a_row_pass() -> None:
    refusal = refusal_of(reward(0.0, "unreadable: length: {"), judge_score=0.0)

    assert refusal
    assert refusal.reason == "unreadable judgement"
