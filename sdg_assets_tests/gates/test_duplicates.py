from __future__ import annotations

from sdg_assets.gates.duplicates import DuplicatesGate
from sdg_assets_tests.records import CAPITALS, example, numeric


def test_the_first_of_two_stays() -> None:
    gate = DuplicatesGate()
    first = numeric("How much is six times seven?")
    again = numeric("how much is SIX times seven")

    assert gate(first) is None
    refusal = gate(again)
    assert refusal
    assert (refusal.reason, refusal.detail) == ("exact duplicate", first.id)


def test_a_row_that_is_the_same_in_every_letter_is_a_duplicate_too() -> None:
    # Equal content has an equal id; that must not make it the same row.
    gate = DuplicatesGate()
    row = numeric()

    assert gate(row) is None
    assert gate(row) is not None


def test_the_order_of_choices_makes_no_new_question() -> None:
    gate = DuplicatesGate()

    assert gate(example()) is None
    assert gate(example(choices=CAPITALS[::-1], answer_index=3)) is not None


def test_another_answer_to_the_same_question_contradicts_it() -> None:
    gate = DuplicatesGate()

    assert gate(numeric(answer="42")) is None
    assert gate(numeric(answer="43")) is not None


def test_other_choices_or_another_passage_make_another_question() -> None:
    gate = DuplicatesGate()

    assert gate(example()) is None
    assert gate(example(choices=["Paris", "Lyon"])) is None
    assert gate(example(context="In 1940 the seat was moved.")) is None


def test_a_copy_of_a_seed_is_a_duplicate() -> None:
    seed = numeric()
    refusal = DuplicatesGate([seed])(numeric())

    assert refusal
    assert refusal.detail == f"seed {seed.id}"
