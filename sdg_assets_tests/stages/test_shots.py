from __future__ import annotations

import pytest

from sdg_assets.stages import shots
from sdg_assets.stages.seeds import seed_rank
from sdg_assets.stages.shots import SHOWN_SEEDS, Ranking, SeedPrompts
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.memory import bytes_a_row
from sdg_assets_tests.support.records import example

SPEC = seed_task().resolve("quiz")


def _by_rank(rows: int) -> list[int]:
    return sorted(range(rows), key=lambda row: seed_rank(SPEC, row))


def _ranking(rows: list[int]) -> Ranking:
    return Ranking(SPEC, rows, rows)


def test_neighbours_come_from_the_first_seeds_by_rank_and_from_all_of_these() -> None:
    order = _by_rank(3 * SHOWN_SEEDS)
    ranking = _ranking(sorted(order))
    drawn = {p for a in order[-3000:] for p in ranking.earlier(a, f"seed {a}")}

    assert drawn <= set(order[:SHOWN_SEEDS])
    assert len(drawn) > 0.9 * SHOWN_SEEDS


def test_more_seeds_change_no_neighbours_of_the_earlier_ones() -> None:
    order = _by_rank(2 * SHOWN_SEEDS)
    few, many = _ranking(sorted(order[: SHOWN_SEEDS // 2])), _ranking(sorted(order))
    for anchor in order[10 : SHOWN_SEEDS // 2 : 97]:
        assert few.earlier(anchor, f"{anchor}") == many.earlier(anchor, f"{anchor}")


def test_words_and_drafts_are_kept_of_so_many_seeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shots, "CACHED_SEEDS", 20)

    def show(rows: int) -> None:
        prompts, often = SeedPrompts(), example(question="Which seed is shown often?")
        for number in range(rows):
            anchor = example(question=f"How do {number} seeds differ from each other, if at all?")
            prompts.draft(anchor)
            prompts.words(anchor)
            assert prompts.words(often) == {"which", "seed", "is", "shown", "often"}

    assert bytes_a_row(show, 1000) < 250
