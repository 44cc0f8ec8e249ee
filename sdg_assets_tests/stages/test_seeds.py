from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.mapping.record import RowMapping
from sdg_assets.records import Seed
from sdg_assets.stages import seeds
from sdg_assets.stages.seeds import collect_seeds, shortfall
from sdg_assets_tests.support.builders import TASK, Rows, seed_task

SPEC = seed_task().resolve("quiz")
SOURCE = Rows({"org/quiz": [{"i": i} for i in range(500)]})


def positions(spec: SubtaskSpec, cap: int | None) -> list[int]:
    return [seed.source.row for seed in collect_seeds(spec, SOURCE, cap)]


def test_seeds_are_the_rows_with_their_positions() -> None:
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


def test_a_sample_that_does_not_fit_into_memory_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_memory = list(collect_seeds(SPEC, SOURCE, 100))
    monkeypatch.setattr(seeds, "SPOOLED_BYTES", 64)

    assert list(collect_seeds(SPEC, SOURCE, 100)) == in_memory


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


def test_a_split_with_fewer_rows_than_declared_gives_a_warning() -> None:
    assert shortfall(SPEC, 1000) is None
    assert shortfall(SPEC.model_copy(update={"rows": None}), 0) is None
    warning = shortfall(SPEC, 500)
    assert warning == "quiz/quiz (org/quiz, main, train): 500 rows found, 1000 declared"


SUBJECTS = ("anatomy", "surgery", "skin", "radiology")
TABLE = Rows({"org/quiz": [{"i": i, "subject": SUBJECTS[i % 4]} for i in range(500)]})


def of_subject(subject: str) -> SubtaskSpec:
    record = {**TASK["record"], "where": f"{{{{subject == '{subject}'}}}}"}
    return seed_task(record=record).resolve("quiz")


def seeds_of(spec: SubtaskSpec, cap: int | None) -> list[Seed]:
    return list(collect_seeds(spec, TABLE, cap))


@pytest.mark.parametrize("cap", [None, 60])
def test_a_cap_counts_the_rows_that_the_record_keeps(cap: int | None) -> None:
    seeds = seeds_of(of_subject("skin"), cap)

    assert len(seeds) == (cap or 125)
    assert {seed.row["subject"] for seed in seeds} == {"skin"}
    assert [seed.source.row for seed in seeds] == sorted(seed.source.row for seed in seeds)


def test_a_larger_cap_keeps_the_smaller_sample_of_what_the_record_keeps() -> None:
    few, more = ({seed.source.row for seed in seeds_of(of_subject("skin"), n)} for n in (10, 50))

    assert (len(few), len(more)) == (10, 50)
    assert few < more


def test_a_sample_that_was_drawn_without_looking_at_where_stays_in_the_new_one() -> None:
    drawn_before = set(positions(SPEC, 60))
    skin = {row for row in drawn_before if SUBJECTS[row % 4] == "skin"}

    assert skin < {seed.source.row for seed in seeds_of(of_subject("skin"), 60)}


def test_rows_that_rank_too_low_are_not_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[Mapping[str, Any]] = []
    keeps = RowMapping.keeps

    def counted(mapping: RowMapping, row: Mapping[str, Any]) -> bool:
        evaluated.append(row)
        return keeps(mapping, row)

    monkeypatch.setattr(RowMapping, "keeps", counted)

    list(collect_seeds(of_subject("skin"), TABLE, 10))

    assert len(evaluated) < 250


def test_a_row_with_several_items_is_a_seed_if_one_of_them_is_kept() -> None:
    record = {"each": "{{items}}", "question": "{{item}}", "answer": "a", "where": "{{item > 2}}"}
    spec = seed_task(record=record, answer_kind="short_text").resolve("quiz")
    rows = Rows({"org/quiz": [{"items": [1, 2]}, {"items": [2, 3]}, {"items": None}]})

    # The last item does not map; `normalized` refuses it with a reason.
    assert [seed.source.row for seed in collect_seeds(spec, rows)] == [1, 2]


def test_every_value_of_a_dataset_becomes_json() -> None:
    decoded_picture = object()
    row = {"d": Decimal("1.5"), "t": timedelta(seconds=2), "p": decoded_picture, "n": None}

    (seed,) = collect_seeds(SPEC, Rows({"org/quiz": [row]}))

    assert seed.row == {"d": "1.5", "t": "0:00:02", "p": None, "n": None}
    seed.model_dump_json()
