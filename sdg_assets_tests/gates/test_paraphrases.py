"""Held-out questions in another language or in other words, by a toy embedder and real searches."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from sdg_assets import gates
from sdg_assets.errors import PermanentError
from sdg_assets.gates.base import Batch
from sdg_assets.gates.paraphrases import Paraphrases, ParaphraseThresholds
from sdg_assets.heldout import embeddings
from sdg_assets.heldout.embeddings import EmbeddingIndex
from sdg_assets.heldout.splits import HeldoutRows
from sdg_assets.heldout.vectors import ATTACHMENT, QuestionVectors, quantized
from sdg_assets.records import AnswerKind, EnrichedExample
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.embedding import WordEmbedder
from sdg_assets_tests.support.heldout import Splits, nothing_held_out
from sdg_assets_tests.support.records import enriched

EGGS = {"question": "3 hens lay 5 eggs a day. How many eggs in 12 days?", "answer": "180"}
COUPONS = {"question": "A farmer sells 7 coupons for 9 coins. How many coins?", "answer": "63"}
RECORD = {"question": "{{question}}", "answer": "{{answer}}"}
GERMAN = "3 Hennen legen 5 Eier am Tag. Wie viele Eier in 12 Tagen?"


def stored(*rows: dict[str, Any]) -> dict[str, bytes]:
    """The files of a held-out partition."""
    heldout = HeldoutRows(QuestionVectors(WordEmbedder()))
    task = seed_task(answer_kind="numeric", record=RECORD, skills=["arithmetic"])
    heldout.add(task.resolve("quiz"), "test", Splits(test=list(rows)))
    tables = heldout.tables()
    assert heldout.vectors
    return {**tables.to_bytes(), **heldout.vectors.attachment()[0]}


def gate(*rows: dict[str, Any], **thresholds: float) -> Paraphrases:
    files = stored(*(rows or (EGGS, COUPONS)))
    index = EmbeddingIndex.of_files("org/words@r1", {"quiz/quiz": files.__getitem__})
    return Paraphrases(index, WordEmbedder(), ParaphraseThresholds(**thresholds))


def row(question: str, answer: str = "180", **changes: Any) -> EnrichedExample:
    changes = {"reasoning": "", "knowledge": "", **changes}
    return enriched(answer_kind=AnswerKind.NUMERIC, question=question, answer=answer, **changes)


def test_a_translation_with_equal_numbers_and_answer_is_refused() -> None:
    paraphrases = gate()

    refusals = paraphrases.refusals(Batch([row("Who sings in the rain?"), row(GERMAN)]))

    assert [*refusals] == [1]
    assert (refusals[1].gate, refusals[1].reason) == ("paraphrases", "question in other words")
    assert refusals[1].detail == "quiz/quiz"
    assert refusals[1].scores["similarity"] > 0.99
    record = paraphrases.record()
    assert (record["compared"], record["refused"], record["reported"]) == (2, 1, 0)
    assert record["against"] == {"quiz/quiz": 2}
    assert record["embedder"] == "org/words@r1"


@pytest.mark.parametrize(
    "other",
    [
        row("4 Hennen legen 6 Eier am Tag. Wie viele Eier in 13 Tagen?"),
        row(GERMAN, answer="181"),
    ],
)
def test_other_numbers_or_another_answer_are_only_reported(other: EnrichedExample) -> None:
    paraphrases = gate()

    assert paraphrases.refusals(Batch([other])) == {}
    assert paraphrases.report.reported == 1
    assert paraphrases.report.benchmarks["quiz/quiz"].highest > 0.99


def test_a_number_that_the_translation_writes_in_words_does_not_hide_it() -> None:
    question = "Drei Hennen legen 5 Eier am Tag. Wie viele Eier in 12 Tagen?"

    assert gate(paraphrase_similarity=0.8).refusals(Batch([row(question)]))


def test_without_two_common_numbers_only_a_high_similarity_counts() -> None:
    held_out = {"question": "3 hens lay eggs a day. How many eggs in a day?", "answer": "180"}
    asked = row("3 Hennen legen Eier am Tag. Wie viele Eier in a Tag? Bitte!")

    assert gate(held_out, paraphrase_suspicion=0.99).refusals(Batch([asked])) == {}
    assert gate(held_out, paraphrase_suspicion=0.9).refusals(Batch([asked]))


def test_only_the_nearest_questions_of_a_collection_are_looked_at() -> None:
    nearer = [{"question": f"{EGGS['question']} {w}", "answer": "1"} for w in ("a", "in", "how")]
    asked = row(f"{GERMAN} a in how a in how")

    assert gate(EGGS, paraphrase_similarity=0.5).refusals(Batch([asked]))
    assert not gate(*nearer, EGGS, paraphrase_similarity=0.5).refusals(Batch([asked]))


def test_below_the_line_nothing_is_said() -> None:
    paraphrases = gate(paraphrase_similarity=0.999, paraphrase_suspicion=0.999)

    assert paraphrases.refusals(Batch([row(GERMAN + " Sag es genau, bitte.")])) == {}
    assert paraphrases.report.reported == 0


def test_a_withheld_answer_refuses_nothing() -> None:
    paraphrases = gate({"question": EGGS["question"], "answer": ""})

    assert paraphrases.refusals(Batch([row(GERMAN)])) == {}
    assert paraphrases.report.reported == 1


def test_the_stored_files_hold_no_word_of_a_question() -> None:
    files = stored(EGGS, COUPONS)
    vectors = pl.read_parquet(files[ATTACHMENT])

    assert [*vectors.columns] == ["question", "vector"]
    assert vectors["vector"].bin.size().to_list() == [64, 64]
    everything = b"".join(files.values()).lower()
    assert not [word for word in (b"hens", b"eggs", b"coupons", b"farmer") if word in everything]


def test_the_search_in_blocks_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "ROWS_AT_ONCE", 7)
    words = [
        f"{a} {b}" for a in ["red", "blue", "green"] for b in ["cat", "dog", "cow", "hen", "owl"]
    ]
    rows = [{"question": f"Is the {text} here?", "answer": f"{n}"} for n, text in enumerate(words)]
    files = stored(*rows)
    index = EmbeddingIndex.of_files("e", {"quiz/quiz": files.__getitem__})
    questions = WordEmbedder().embed([f"Where is the {text}?" for text in words])

    neighbours = index.search(questions, 0.0, 3)

    whole = quantized(WordEmbedder().embed([str(r["question"]) for r in rows])).astype(float)
    cosines = questions @ (whole / np.linalg.norm(whole, axis=1, keepdims=True)).T
    for place in range(len(words)):
        own = [(n.question, n.similarity) for n in neighbours if n.place == place]
        best = np.argsort(-cosines[place])[:3]
        assert [question for question, _ in own] == best.tolist()
        assert np.allclose([similarity for _, similarity in own], cosines[place][best])


def test_another_dimension_is_refused() -> None:
    index = EmbeddingIndex.of_files("e", {"quiz/quiz": stored(EGGS).__getitem__})

    with pytest.raises(PermanentError, match="e gives 3 dimensions, the stored embeddings have 64"):
        index.search(np.ones((1, 3), dtype=np.float32), 0.5, 3)


def test_without_an_embedder_the_gate_is_left_out() -> None:
    names = [each.name for each in gates.row_gates(Thresholds(), nothing_held_out())]
    passed_in = [gate()]

    assert "paraphrases" not in names
    with_it = gates.row_gates(Thresholds(), nothing_held_out(), passed_in=passed_in)
    assert [each.name for each in with_it] == [*names[:-1], "paraphrases", names[-1]]
