"""The forecast, compared with what can be worked out by hand."""

from __future__ import annotations

import pytest

from sdg_assets.stages.fleet import Fleet, Forecast, Phase, forecast, replicas_for

WORK = Phase(rows=100_000, requests=100_000, output_tokens=20_000_000)


def hours(replicas: int = 1, *phases: Phase, **changes: float) -> Forecast:
    fleet = Fleet(replicas, tokens_per_second=2000.0, **{"load_seconds": 0.0, **changes})  # type: ignore[arg-type]
    return forecast(phases or [WORK], fleet)


def test_one_teacher_needs_the_time_of_its_tokens_and_of_the_last_answer() -> None:
    one_answer = 200 * 256 / 2000
    # With the mean one half done when no new one begins, the longest of 256 takes thrice as long.
    least, most = (20_000_000 / 2000 + one_answer * answers for answers in (1.0, 3.5))
    assert least / 3600 < hours().hours < most / 3600


def test_a_stage_begins_when_the_one_before_is_done_and_loads_again() -> None:
    once = hours(1, WORK, load_seconds=600.0).hours
    assert hours(1, WORK, WORK, load_seconds=600.0).hours == pytest.approx(2 * once, rel=0.01)


def test_sixteen_teachers_are_nearly_sixteen_times_as_fast_while_work_is_plenty() -> None:
    ratio = hours(1).hours / hours(16, batch=8).hours
    assert 15 < ratio < 16


def test_small_work_gains_little_from_more_teachers() -> None:
    few = Phase(rows=512, requests=512, output_tokens=512 * 200)
    one, many = (hours(n, few, load_seconds=300.0) for n in (1, 16))
    assert many.hours > 0.8 * one.hours
    assert many.replica_hours > 10 * one.replica_hours


def test_a_failure_costs_a_load_and_what_was_under_way() -> None:
    sound, failing = (hours(1, load_seconds=600.0, failures_per_day=f) for f in (0.0, 24.0))
    expected = sound.hours * (600 + 256 * 100 / 2000) / 3600
    assert failing.hours - sound.hours == pytest.approx(expected, rel=0.1)
    assert failing.late_hours > failing.hours > sound.late_hours


def test_what_is_not_loading_tail_or_failure_is_writing() -> None:
    assert hours(batch=1).busy_share == pytest.approx(1.0, abs=0.001)
    assert hours(load_seconds=10_000.0, batch=1).busy_share == pytest.approx(0.5, abs=0.01)


def test_votes_that_wait_for_each_other_make_the_tail_longer() -> None:
    votes = Phase(rows=1000, requests=3000, output_tokens=600_000)
    waiting = Phase(rows=1000, requests=3000, output_tokens=600_000, in_sequence=3)
    assert hours(1, waiting).hours > hours(1, votes).hours


def test_the_hash_divides_few_rows_unevenly_and_the_fullest_teacher_is_the_last() -> None:
    # 400 rows on 16 teachers: 25 each, and about 34 on the fullest.
    few = Phase(rows=400, requests=400, output_tokens=400 * 200)
    one, sixteen = (hours(n, few, batch=1, spread=0.0) for n in (1, 16))
    assert 28 / 400 < sixteen.hours / one.hours < 40 / 400
    assert one.tail_hours == 0.0
    assert sixteen.tail_hours > 0.3 * sixteen.hours


def test_fewer_rows_than_slots_take_as_long_as_one_answer() -> None:
    few = Phase(rows=100, requests=100, output_tokens=100 * 200)
    assert hours(1, few, spread=0.0).hours == pytest.approx(200 * 256 / 2000 / 3600)


def test_nothing_to_do_takes_no_time() -> None:
    nothing = Phase(rows=0, requests=0, output_tokens=0)
    assert hours(4, nothing) == Forecast(0.0, 0.0, 0.0, 0.0, 1.0)


def test_the_fewest_teachers_that_are_done_in_time_are_named() -> None:
    fleet = Fleet(1, tokens_per_second=2000.0, load_seconds=300.0)
    needed = replicas_for([WORK], 1.0, fleet)
    assert needed
    late = [
        forecast([WORK], Fleet(n, tokens_per_second=2000.0, load_seconds=300.0)).late_hours
        for n in (needed - 1, needed)
    ]
    assert late[1] <= 1.0 < late[0]


def test_no_number_of_teachers_is_faster_than_loading() -> None:
    fleet = Fleet(1, tokens_per_second=2000.0, load_seconds=3600.0)
    assert replicas_for([WORK], 0.9, fleet) is None
