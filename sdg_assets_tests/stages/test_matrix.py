"""The coverage matrix: what counts where, holes and surpluses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sdg_assets.catalog.taxonomy import load_taxonomy
from sdg_assets.errors import StoreError
from sdg_assets.stages.matrix import (
    DIFFICULTIES,
    Cell,
    Matrix,
    difficulties_in,
    difficulty_of,
    grouped,
    matrix_of,
)
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import on_disk
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.records import enriched

ALL, MOST, FEWER = "all votes agree", "at least 3/4 agree", "fewer agree"
TASK = seed_task(
    behaviours=["weigh_alternatives", "apply_knowledge"],
    skills=["recall_law", "logic"],
    subtasks={
        "laws": {},
        "more_laws": {},
        "sums": {"behaviours": ["reason_in_steps"], "skills": ["arithmetic"], "language": "fr"},
    },
)
SPECS = [TASK.resolve(key) for key in TASK.subtasks]


def matrix(
    agreement: Mapping[str, Mapping[str, int]], minimum: int = 10, share: float = 0.5
) -> Matrix:
    return matrix_of(SPECS, agreement, load_taxonomy(), minimum, share)


def cell(behaviour: str, skill: str, language: str = "en") -> Cell:
    return Cell(behaviour, skill, "trivia", language, "multiple_choice")


def test_a_row_counts_once_in_each_cell_of_its_subtask() -> None:
    counted = matrix({"laws": {ALL: 5, FEWER: 1}, "more_laws": {ALL: 2}, "sums": {MOST: 4}})

    assert counted.rows == 12
    assert counted.difficulty == {ALL: 7, MOST: 4, FEWER: 1}
    assert {c: dict(by_agreement) for c, by_agreement in counted.cells.items()} == {
        cell("weigh_alternatives", "recall_law"): {ALL: 7, FEWER: 1},
        cell("weigh_alternatives", "logic"): {ALL: 7, FEWER: 1},
        cell("apply_knowledge", "recall_law"): {ALL: 7, FEWER: 1},
        cell("apply_knowledge", "logic"): {ALL: 7, FEWER: 1},
        cell("reason_in_steps", "arithmetic", "fr"): {MOST: 4},
    }
    assert counted.by_behaviour_and_skill()["apply_knowledge", "logic"] == 8


def test_behaviours_and_skills_stand_in_the_order_of_the_taxonomy() -> None:
    counted = matrix({})

    assert counted.behaviours == ["apply_knowledge", "weigh_alternatives", "reason_in_steps"]
    assert counted.skills == ["arithmetic", "logic", "recall_law"]


def test_holes_are_cells_below_the_minimum_the_emptiest_first() -> None:
    counted = matrix({"laws": {ALL: 6}, "more_laws": {ALL: 3}})

    assert counted.holes()[0] == cell("reason_in_steps", "arithmetic", "fr")
    assert len(counted.holes()) == 5
    assert matrix({"laws": {ALL: 6}, "more_laws": {ALL: 4}}).holes() == [counted.holes()[0]]


def test_surpluses_are_cells_above_their_share_the_fullest_first() -> None:
    assert matrix({"laws": {ALL: 20}, "sums": {ALL: 20}}).surpluses() == []
    (full,) = matrix({"laws": {ALL: 20}, "sums": {ALL: 21}}).surpluses()
    assert full == cell("reason_in_steps", "arithmetic", "fr")


def test_a_matrix_without_rows_has_holes_and_no_surpluses() -> None:
    assert (len(matrix({}).holes()), matrix({}).surpluses()) == (5, [])


def test_cells_that_differ_in_behaviour_only_are_one_line() -> None:
    counted = matrix({"laws": {ALL: 6}})

    lines = grouped(counted, counted.holes())
    behaviours, subtasks = (
        ["apply_knowledge", "weigh_alternatives"],
        ["quiz/laws", "quiz/more_laws"],
    )
    assert [(line.skill, line.behaviours, line.rows, list(line.subtasks)) for line in lines] == [
        ("arithmetic", ["reason_in_steps"], 0, ["quiz/sums"]),
        ("logic", behaviours, 6, subtasks),
        ("recall_law", behaviours, 6, subtasks),
    ]


def test_an_entry_names_rows_by_agreement_and_subtasks() -> None:
    entries: list[dict[str, Any]] = list(matrix({"sums": {MOST: 4}}).entries())

    assert entries[2] == {
        "behaviour": "reason_in_steps",
        "skill": "arithmetic",
        "domain": "trivia",
        "language": "fr",
        "answer_kind": "multiple_choice",
        "rows": 4,
        "rows_by_difficulty": {ALL: 0, MOST: 4, FEWER: 0},
        "subtasks": ["quiz/sums"],
    }


@pytest.mark.parametrize(
    ("share", "band"), [(1.0, ALL), (0.99, MOST), (0.75, MOST), (2 / 3, FEWER), (0.0, FEWER)]
)
def test_agreement_is_named_by_the_share_of_votes(share: float, band: str) -> None:
    assert difficulty_of(share, None) == band


@pytest.mark.parametrize(
    ("rate", "band"),
    [
        (1.0, "probe passes often"),
        (0.75, "probe passes often"),
        (0.25, "probe passes sometimes"),
        (0.2, "probe passes rarely"),
        (0.0, "probe passes rarely"),
    ],
)
def test_a_pass_rate_is_the_difficulty_where_there_is_one(rate: float, band: str) -> None:
    assert difficulty_of(1.0, rate) == band


def test_only_the_measures_that_rows_have_are_shown() -> None:
    counted = matrix({"laws": {"probe passes rarely": 2}, "sums": {MOST: 4}})

    assert counted.probed == 2
    assert list(counted.difficulty) == [*DIFFICULTIES]
    assert list(matrix({}).difficulty) == [ALL, MOST, FEWER]


def test_accepted_rows_are_counted_in_the_store_where_a_partition_is_published(
    store: Store,
) -> None:
    with store.write(PartitionKey("quiz", "filtered", "laws")) as out:
        for share in (1.0, 1.0, 0.8):
            out.accept(enriched(subtask="laws", vote_share=share))

    assert difficulties_in(store, SPECS) == {"laws": {ALL: 2, MOST: 1}}


def test_a_damaged_partition_is_not_counted_but_named(store: Store) -> None:
    key = PartitionKey("quiz", "filtered", "laws")
    with store.write(key) as out:
        out.accept(enriched(subtask="laws"))
    files = (on_disk(store.root) / "quiz" / "filtered" / "laws").glob("*.jsonl")
    (file,) = (file for file in files if "rejected" not in file.name)
    file.write_text(file.read_text("utf-8").replace("Paris", "Rome"), "utf-8")

    with pytest.raises(StoreError, match=f"materialize {key} again"):
        difficulties_in(store, SPECS)
