from __future__ import annotations

import pytest

from sdg_assets.gates import Batch, difficulty
from sdg_assets.gates.difficulty import DifficultyThresholds
from sdg_assets.records import Refusal
from sdg_assets.thresholds import overridden
from sdg_assets_tests.support.records import STAMP, enriched


def refusal_of(pass_rate: float | None, **thresholds: float) -> Refusal | None:
    gate = difficulty.gate(DifficultyThresholds(**thresholds))
    probe = None if pass_rate is None else STAMP
    row = enriched(pass_rate=pass_rate, probe_answers=4, probe=probe)
    return gate.refusals(Batch([row])).get(0)


def test_all_rows_pass_by_default() -> None:
    assert [refusal_of(rate) for rate in (0.0, 0.5, 1.0)] == [None] * 3


def test_a_range_keeps_its_ends_and_refuses_with_the_rate() -> None:
    kept = [refusal_of(rate, min_pass_rate=0.25, max_pass_rate=0.75) for rate in (0.25, 0.75)]
    easy = refusal_of(1.0, min_pass_rate=0.25, max_pass_rate=0.75)
    hard = refusal_of(0.0, min_pass_rate=0.25)

    assert kept == [None, None]
    assert easy
    assert (easy.reason, easy.scores) == ("too easy", {"pass_rate": 1.0})
    assert easy.detail == "4 of 4 answers of org/teacher are right"
    assert hard
    assert hard.reason == "too hard"


def test_a_row_without_a_pass_rate_is_kept() -> None:
    assert refusal_of(None, min_pass_rate=0.5) is None


def test_a_range_that_would_refuse_every_row_is_refused_itself() -> None:
    says = "min_pass_rate 0.8 is above max_pass_rate 0.3: every probed row would be refused"
    with pytest.raises(ValueError, match=says):
        overridden({"min_pass_rate": 0.8, "max_pass_rate": 0.3})
    with pytest.raises(ValueError, match=says):
        overridden({"min_pass_rate": 0.8}, {"max_pass_rate": 0.3})
