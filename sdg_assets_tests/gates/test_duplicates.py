from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from more_itertools import chunked

from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.records import Example
from sdg_assets.signatures.minhash import boilerplate_of
from sdg_assets.signatures.shingles import shingled
from sdg_assets_tests.support.records import CAPITALS, enriched, example, numeric
from sdg_assets_tests.support.signatures import parquet_of


def copies(*rows: Example, seeds: tuple[Example, ...] = ()) -> dict[int, str]:
    """Position of a refused row → the original named in its refusal."""
    duplicates = Duplicates(seeds)
    duplicates.add(rows)
    return {place: refusal.detail for place, refusal in duplicates.refusals().items()}


def test_one_of_two_equal_questions_stays_whatever_their_order() -> None:
    left = numeric("How much is six times seven?")
    right = numeric("how much is SIX times seven")
    first, second = sorted((left, right), key=lambda row: row.id)

    assert copies(first, second) == {1: first.id}
    assert copies(second, first) == {0: first.id}


def test_the_row_that_more_votes_agree_with_stays() -> None:
    sure, unsure = enriched(vote_share=1.0), enriched(vote_share=0.6)

    assert set(copies(unsure, sure)) == {0}
    assert set(copies(sure, unsure)) == {1}


def test_a_row_that_is_the_same_in_every_letter_is_a_duplicate_too() -> None:
    # Equal content has an equal id; that must not make it the same row.
    assert set(copies(numeric(), numeric())) == {1}


def test_the_order_of_choices_makes_no_new_question() -> None:
    assert len(copies(example(), example(choices=CAPITALS[::-1], answer_index=3))) == 1


def test_another_answer_to_the_same_question_contradicts_it() -> None:
    assert len(copies(numeric(answer="42"), numeric(answer="43"))) == 1


def test_other_choices_or_another_passage_make_another_question() -> None:
    other_choices = example(choices=["Paris", "Lyon"])
    other_passage = example(context="In 1940 the seat was moved.")

    assert copies(example(), other_choices, other_passage) == {}


def test_a_copy_of_a_seed_is_a_duplicate() -> None:
    seed = numeric()

    assert copies(numeric(), numeric(), seeds=(seed,)) == dict.fromkeys((0, 1), f"seed {seed.id}")


def test_rows_in_many_batches_are_compared_like_rows_in_one() -> None:
    seeds = [numeric(f"How much is {n} times seven, said aunt {n}?") for n in range(3000)]
    rows = [numeric(f"how much is {n} times SEVEN, said aunt {n}") for n in range(2990, 3010)]
    together, one_by_one = Duplicates(seeds), Duplicates(seeds)

    together.add([*rows, *rows])
    for row in [*rows, *rows]:
        one_by_one.add([row])

    assert set(together.refusals()) == {*range(10), *range(20, 40)}
    assert one_by_one.refusals() == together.refusals()
    files = [parquet_of(duplicates.signatures(), "p") for duplicates in (one_by_one, together)]
    assert files[0] == files[1]


def test_signatures_are_in_files_only_as_long_as_they_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    duplicates = Duplicates([example()])
    assert list(tmp_path.iterdir())

    del duplicates

    assert not list(tmp_path.iterdir())


def test_a_task_has_the_same_boilerplate_in_any_batches() -> None:
    seeds = [numeric(f"Dear pupil, please tell us: how much is {n}?") for n in range(5000)]
    batches = [[shingled(some) for some in chunked(seeds, size)] for size in (64, 1024, 5000)]

    codes = [boilerplate_of(batch).tolist() for batch in batches]

    assert codes[0]
    assert codes[0] == codes[1] == codes[2]
