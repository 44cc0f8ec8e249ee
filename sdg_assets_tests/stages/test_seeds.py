from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.stages.seeds import collect_seeds, shortfall
from sdg_assets_tests.builders import Rows, seed_task

SPEC = seed_task().resolve("quiz")
SOURCE = Rows({"org/quiz": [{"i": i} for i in range(500)]})


def positions(spec: SubtaskSpec, cap: int | None) -> list[int]:
    return [seed.source.row for seed in collect_seeds(spec, SOURCE, cap)]


def test_seeds_are_the_rows_with_where_they_stand() -> None:
    seeds = list(collect_seeds(SPEC, SOURCE))

    assert [seed.row["i"] for seed in seeds] == list(range(500))
    where = seeds[3].source.model_dump()
    assert where == {
        "dataset": "org/quiz",
        "config": "main",
        "split": "train",
        "row": 3,
        "revision": "r0",
        "license": "MIT",
    }


def test_a_larger_cap_keeps_every_seed_of_a_smaller_one() -> None:
    few, more = positions(SPEC, 10), positions(SPEC, 100)

    assert (len(few), len(more)) == (10, 100)
    assert set(few) < set(more)
    assert more == sorted(more)
    assert positions(SPEC, 10) == few
    assert positions(SPEC, 1000) == list(range(500))


def test_a_capped_sample_of_a_parallel_task_is_of_the_rows_this_language_owns() -> None:
    task = seed_task(parallel=True, subtasks={key: {} for key in ("de", "en", "fr")})

    samples = {key: positions(task.resolve(key), 20) for key in ("de", "en", "fr")}

    for key, sample in samples.items():
        assert {task.resolve(key).owner(position) for position in sample} == {key}
    assert len({position for sample in samples.values() for position in sample}) == 60


def test_a_row_becomes_plain_json() -> None:
    row: dict[str, Any] = {"d": date(2020, 1, 2), "b": b"png", "n": {"t": (1, {"x": b""})}}

    (seed,) = collect_seeds(SPEC, Rows({"org/quiz": [row]}))

    assert seed.row == {"d": "2020-01-02", "b": None, "n": {"t": [1, {"x": None}]}}
    json.dumps(seed.row)


@pytest.mark.parametrize("cap", [None, 10])
def test_the_rows_of_the_split_are_counted(cap: int | None) -> None:
    counted: list[int] = []

    list(collect_seeds(SPEC, SOURCE, cap, count=counted.append))

    assert counted == [500]


def test_a_split_that_is_smaller_than_declared_is_told() -> None:
    assert shortfall(SPEC, 1000) is None
    assert shortfall(SPEC.model_copy(update={"rows": None}), 0) is None
    told = shortfall(SPEC, 500)
    assert told == "quiz/quiz (org/quiz, main, train): 500 rows found, 1000 declared"
