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
