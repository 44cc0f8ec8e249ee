from __future__ import annotations

from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.records import Example
from sdg_assets_tests.support.records import CAPITALS, enriched, example, numeric


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
