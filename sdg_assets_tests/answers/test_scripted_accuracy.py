"""A small sample of the verification benchmark."""

from __future__ import annotations

from collections import Counter

from sdg_assets_tests.benchmarks.scripted_answers import scripted


def test_at_least_99_percent_of_scripted_answers_are_read_correctly() -> None:
    cases = scripted()
    sample = cases[::7]
    missed = Counter(case.topic for case in sample if case.verdict() is not case.expected)

    assert len(cases) >= 2000
    assert len(sample) >= 300
    assert missed.total() <= 0.01 * len(sample), missed


def test_an_answer_is_never_read_from_a_text_that_settles_none() -> None:
    unsettled = [case for case in scripted() if case.expected is None]

    assert len(unsettled) >= 50
    assert [case.text for case in unsettled if case.verdict() is not None] == []


def test_an_answer_that_is_stated_but_not_announced_is_read() -> None:
    stated = [case for case in scripted() if case.topic == "statements"]

    assert len(stated) >= 30
    assert [case.text for case in stated if case.verdict() is not case.expected] == []
