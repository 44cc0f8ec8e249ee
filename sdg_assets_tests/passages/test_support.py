from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from sdg_assets.passages.reading import EMBEDDED, read_passages
from sdg_assets.passages.support import Grounds, Verdict, checked_by_words, stands_at
from sdg_assets.passages.words import names_in, numbers_in, sentences, stems
from sdg_assets.records import Passage
from sdg_assets_tests.support.passages import LOIRE, PARIS

LABELLED = Path(__file__).parent / "labelled.tsv"
GROUNDS = Grounds(
    (f"Paris\n{PARIS}", f"The Loire\n{LOIRE}"), "Where does the Loire end? near Saint-Nazaire"
)


def verdict(sentence: str, grounds: Grounds = GROUNDS) -> Verdict:
    (checked,) = checked_by_words(sentence, grounds)
    return checked.verdict


@pytest.mark.parametrize(
    "sentence",
    [
        "The Loire rises in the Ardèche and reaches the Atlantic near Saint-Nazaire after 1006 "
        "kilometers.",
        "France's longest river is the Loire.",
        "The city has about 2 million inhabitants.",
        "And so it is.",
    ],
)
def test_a_sentence_in_the_words_of_a_passage_is_supported(sentence: str) -> None:
    assert verdict(sentence) is Verdict.SUPPORTED


@pytest.mark.parametrize(
    "sentence",
    [
        "The Loire is 1,020 kilometers long.",  # another number
        "The longest river of France passes Orléans.",  # a name of its own
        "Dams generate electricity for whole regions.",  # other words
    ],
)
def test_an_invention_is_unsupported(sentence: str) -> None:
    assert verdict(sentence) is Verdict.UNSUPPORTED


@pytest.mark.parametrize(
    "sentence",
    [
        "Paris is not the capital of France.",
        "Paris has about 2 million inhabitants.",  # the passage says "the city"
        "The Loire is the shortest river of France and rises in the mountains.",
        "Rivers such as the Loire carry water to the Atlantic.",
    ],
)
def test_what_words_cannot_decide_is_uncertain(sentence: str) -> None:
    assert verdict(sentence) is Verdict.UNCERTAIN


def test_no_certain_verdict_on_labelled_sentences_is_wrong() -> None:
    # 56 sentences in the manner of small models, half of them supported (`s`), written by hand.
    passages = {
        each.id: each for each in read_passages(EMBEDDED, "samples") if isinstance(each, Passage)
    }
    with LABELLED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    outcomes: Counter[tuple[str, Verdict]] = Counter()
    for row in rows:
        passage = passages[row["passage"]]
        grounds = Grounds((f"{passage.title}\n{passage.text}",), row["question"])
        outcomes[row["label"], verdict(row["sentence"], grounds)] += 1

    assert outcomes["s", Verdict.UNSUPPORTED] == outcomes["u", Verdict.SUPPORTED] == 0
    certain = outcomes["s", Verdict.SUPPORTED] + outcomes["u", Verdict.UNSUPPORTED]
    assert certain >= 0.4 * len(rows)


def test_words_of_the_question_support_no_claim() -> None:
    grounds = Grounds(("\nWood burns.",), "Why does iron rust in the rain? water and air")

    assert verdict("Iron rusts in rain, water and air.", grounds) is Verdict.UNSUPPORTED


def test_a_noun_in_german_is_no_name() -> None:
    grounds = Grounds(("\nDie Loire fließt durch Frankreich.",), "", "de")

    assert verdict("Die Loire ist ein Fluss und fließt durch Frankreich.", grounds) is not (
        Verdict.UNSUPPORTED
    )


def test_a_named_line_counts_only_if_it_has_words_of_the_sentence() -> None:
    sentence = "The river ends in an ocean, the Atlantic."

    assert GROUNDS.lines[6].startswith("It rises in the Ardèche and reaches the Atlantic")
    assert stands_at(sentence, 7, GROUNDS)
    assert stands_at(sentence, 6, GROUNDS), "its neighbours count with it"
    assert not stands_at(sentence, 1, GROUNDS)
    assert not stands_at(sentence, 0, GROUNDS)
    assert not stands_at(sentence, 8, GROUNDS)


def test_texts_are_taken_apart_into_sentences_stems_numbers_and_names() -> None:
    text = "1. The U.S. has 50 states. It grew!\n- 水は凍る。氷になる。"
    assert sentences(text) == ["The U.S. has 50 states.", "It grew!", "水は凍る。", "氷になる。"]
    assert stems("The rivers were flowing") == ["river", "flow"]
    assert numbers_in("Twelve of 1,000 cost 4.20") == {"12", "1000", "4.2"}
    assert names_in("Then Isaac Newton wrote a book.") == {"isaac", "newton"}
