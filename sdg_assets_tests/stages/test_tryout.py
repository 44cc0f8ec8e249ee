from __future__ import annotations

import math
from pathlib import Path

import pytest

from sdg_assets.records import Example, Role, Seed
from sdg_assets.stages.extrapolation import share_of, sum_of
from sdg_assets.stages.generated import WriterKnobs, write
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.stages.tryout import Tryout, normalized_rows
from sdg_assets.teacher.conversation import Desk, Usage
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.stream import converse
from sdg_assets.thresholds import DEFAULTS
from sdg_assets_tests.support.builders import Rows, seed_task
from sdg_assets_tests.support.cities import numbered_cities, write_and_solve
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher

SPEC = seed_task().resolve("quiz")
SOURCE = Rows({"org/quiz": numbered_cities(30)})


def seeds(most: int | None = None) -> list[Seed]:
    return list(collect_seeds(SPEC, SOURCE, most))


def test_the_prompts_are_those_of_a_run_over_all_seeds(tmp_path: Path) -> None:
    pool = [row for row in normalize(SPEC, seeds()) if isinstance(row, Example)]
    whole, some = ScriptedTeacher(write_and_solve), ScriptedTeacher(write_and_solve)
    tryout = Tryout(SPEC, normalized_rows(SPEC, seeds(5), 5, []), pool, DEFAULTS)

    with CompletionLog(tmp_path / "some") as log:
        tryout.write({Role.WRITER: Desk(some, log)}, WriterKnobs())
    with CompletionLog(tmp_path / "whole") as log:
        desks = {Role.WRITER: Desk(whole, log)}
        list(converse(write(SPEC, pool, whole, WriterKnobs()), desks, Usage()))

    asked = {request.id for request in some.requests}
    assert len(asked) == 5
    assert asked < {request.id for request in whole.requests}


def test_one_seed_with_many_rows_counts_as_many_rows() -> None:
    assert len(normalized_rows(SPEC, seeds(5), 3, [])) == 3


@pytest.mark.parametrize(
    ("sample", "bounds"),
    [
        ([10.0, 10.0, 10.0], (1000, 1000, 1000)),
        # Student's t with 2 degrees of freedom: 4.303 · 10 / √3 on both sides of 20.
        ([10.0, 20.0, 30.0], (2000, 0, 4484)),
        ([10.0], (1000, 0, math.inf)),
    ],
)
def test_a_sum_is_bounded_by_how_much_rows_differ(
    sample: list[float], bounds: tuple[float, float, float]
) -> None:
    interval = sum_of(sample, 100)

    assert (interval.expected, interval.low, interval.high) == pytest.approx(bounds, abs=1)


def test_a_share_of_none_or_all_is_still_uncertain() -> None:
    none, some, every = (share_of(hits, 10, 1000) for hits in (0, 5, 10))

    assert none.low == pytest.approx(0, abs=1e-9)
    assert none.high == pytest.approx(277.5, abs=0.5)
    assert some.low == pytest.approx(236.6, abs=0.5)
    assert some.high == pytest.approx(763.4, abs=0.5)
    assert every.low == pytest.approx(722.5, abs=0.5)
