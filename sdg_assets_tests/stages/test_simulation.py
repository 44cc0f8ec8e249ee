"""One replica's work, compared with what can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from sdg_assets.stages.simulation import Pace, simulate

PACE = Pace(slots=4, row_seconds=1.0)


def seconds(rows: int, pace: Pace = PACE, failures: Sequence[float] = (), seed: int = 0) -> float:
    return simulate(rows, pace, iter(failures), np.random.default_rng(seed))


def test_rows_take_the_slots_in_turn() -> None:
    assert [seconds(rows) for rows in (0, 1, 4, 5, 40)] == [0, 1, 1, 2, 10]


def test_the_model_is_loaded_first_unless_there_is_no_row() -> None:
    pace = replace(PACE, load_seconds=30.0)
    assert [seconds(rows, pace) for rows in (0, 5)] == [0, 32]


def test_a_failure_costs_the_answers_under_way_a_restart_and_a_load() -> None:
    pace = replace(PACE, load_seconds=30.0, restart_seconds=5.0)
    # Up at 30; at 32.5 eight rows are there and four half done, which begin again at 67.5.
    assert seconds(12, pace, [32.5]) == 68.5
    assert seconds(12, pace, [33.5]) == 33.0  # it was done


def test_answers_of_a_row_that_are_there_are_kept() -> None:
    pace = Pace(slots=4, row_seconds=10.0, links=5)  # an answer takes 2 s
    # At 5 s two answers of each of four rows are there: three are left.
    assert seconds(4, pace, [5.0]) == 5.0 + 3 * 2.0


def test_a_failure_while_it_loads_begins_the_load_anew() -> None:
    pace = replace(PACE, load_seconds=30.0, restart_seconds=5.0)
    assert seconds(4, pace, [20.0]) == 20.0 + 5.0 + 30.0 + 1.0
    # A second failure hits nothing while no process is there.
    assert seconds(4, pace, [20.0, 22.0]) == 56.0


@pytest.mark.parametrize("failures", [(), (2_000.5, 7_000.25)], ids=["sound", "failing"])
def test_many_rows_taken_together_last_as_long_as_one_by_one(
    failures: Sequence[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = Pace(slots=16, row_seconds=4.0, links=2, spread=0.5, load_seconds=300.0)
    together = [seconds(40_000, pace, failures, seed) for seed in range(8)]
    monkeypatch.setattr("sdg_assets.stages.simulation.LEAST_ROWS", 40_000)
    single = [seconds(40_000, pace, failures, seed) for seed in range(8)]
    assert np.mean(together) == pytest.approx(np.mean(single), rel=0.005)
