from __future__ import annotations

import random
from typing import Any

import pytest

from sdg_assets.gates.base import Batch
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.records import AnswerKind, Example, Refusal
from sdg_assets_tests.support.heldout import gate_against, hashed, held_out
from sdg_assets_tests.support.records import example, numeric

GLACIER = (
    "Which process explains how a glacier carves a wide valley while it slides downhill over rock?"
)
CHOICES = ["abrasion by frozen rubble", "melting", "evaporation", "volcanic uplift"]
MILL = (
    "Farmer Odile drives 14 carts of barley to the mill, 3 of them break an axle on the bridge and "
    "each of the others is unloaded in 9 minutes. How many minutes does the unloading take?"
)
HELDOUT_MC = {"question": GLACIER, "choices": CHOICES, "label": 0}
MATH: dict[str, Any] = {
    "answer_kind": "numeric",
    "record": {"question": "{{question}}", "answer": "{{choices[label]}}"},
}
HELDOUT_NUMBER = {"question": MILL, "choices": ["99"], "label": 0}
READING: dict[str, Any] = {
    "answer_kind": "boolean",
    "record": {
        "context": "{{context}}",
        "question": "{{question}}",
        "answer": "{{'yes' if label == 1 else 'no'}}",
    },
}
PASSAGE = (
    "The lighthouse of Saint Aubin was built in 1868 from granite that barges brought from the "
    "quarries of the northern coast. Its lamp burned rapeseed oil until a storm in 1903 tore the "
    "lantern off, after which the harbour office paid for an electric one."
)


def mc(question: str = GLACIER, choices: list[str] = CHOICES, answer: int = 0) -> Example:
    return example(question=question, choices=choices, answer=choices[answer], answer_index=answer)


def number(question: str = MILL, answer: str = "99") -> Example:
    return numeric(question=question, answer=answer)


def verdict(gate: Contamination, row: Example) -> Refusal | None:
    return gate.refusals(Batch([row])).get(0)


def reason(gate: Contamination, row: Example) -> str:
    refusal = verdict(gate, row)
    return refusal.reason if refusal else ""


def edited(text: str, words: int, seed: int = 0) -> str:
    chance = random.Random(seed)
    split = text.split()
    places = [at for at, word in enumerate(split) if not any(c.isdigit() for c in word)]
    for at in chance.sample(places, k=words):
        split[at] = "somehow"
    return " ".join(split)


@pytest.mark.parametrize(
    "row",
    [
        mc(),
        mc(question=GLACIER.upper().replace("?", " ?")),
        mc(choices=CHOICES[::-1], answer=3),
    ],
)
def test_a_held_out_row_is_refused_whatever_its_typography_and_order(row: Example) -> None:
    refusal = verdict(gate_against([HELDOUT_MC]), row)

    assert refusal
    assert (refusal.gate, refusal.reason, refusal.detail) == (
        "contamination", "exact row", "quiz/quiz",
    )  # fmt: skip
    assert refusal.scores["overlap"] == 1


def test_a_premise_may_stand_in_front_of_the_question() -> None:
    premise, question = "The man broke his toe.", "What was the cause?"
    choices = ["He got a hole in his sock.", "He dropped a hammer."]
    gate = held_out(mc(question, choices, 1).model_copy(update={"context": premise}))

    assert reason(gate, mc(f"{premise} {question}", choices[::-1])) == "exact row"
    assert not reason(gate, mc(f"The well froze. {question}", ["It got cold.", "It got warm."]))


def test_a_held_out_question_is_refused_with_another_answer() -> None:
    other = ["ploughing", "burning", "freezing", "digging"]

    assert reason(gate_against([HELDOUT_MC]), mc(choices=other)) == "exact question"
    assert reason(gate_against([HELDOUT_NUMBER], **MATH), number(answer="98")) == "exact row"


def test_digits_of_another_script_are_the_same_digits() -> None:
    eastern = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
    row = number(question=MILL.translate(eastern), answer="99".translate(eastern))

    assert reason(gate_against([HELDOUT_NUMBER], **MATH), row) == "exact row"


@pytest.mark.parametrize(
    ("words", "expected"),
    [(1, "whole question"), (3, "question and answer"), (6, "question and answer")],
)
def test_an_edited_question_is_refused_with_its_answer(words: int, expected: str) -> None:
    assert reason(gate_against([HELDOUT_NUMBER], **MATH), number(edited(MILL, words))) == expected


def test_the_same_words_about_other_numbers_are_another_question() -> None:
    gate = gate_against([HELDOUT_NUMBER], **MATH)
    row = number(MILL.replace("14", "17").replace("9 minutes", "8 minutes"), answer="112")

    assert verdict(gate, row) is None
    assert gate.report.suspicious == 1
    assert gate.report.benchmarks["quiz/quiz"].highest > 0.5


def test_a_similar_question_with_another_answer_is_reported_and_kept() -> None:
    gate = gate_against([HELDOUT_MC])
    row = mc(
        "Which process explains how a glacier carves a wide valley while it slides into the sea?",
        ["calving", "drifting", "boiling", "rusting"],
    )

    assert verdict(gate, row) is None
    assert gate.report.as_dict()["benchmarks"]["quiz/quiz"]["suspicion"] == 1


def test_a_stem_that_many_held_out_rows_share_refuses_nothing() -> None:
    stem = "Which of the following statements is true?"
    heldout = [
        {"question": stem, "choices": [f"{n} is the first", f"{n} is the second"], "label": 0}
        for n in range(40)
    ]
    gate = gate_against(heldout)

    assert verdict(gate, mc(stem, ["Copper conducts heat", "Wood conducts heat"])) is None
    assert gate.report.suspicious == 0
    assert reason(gate, mc(stem, ["7 is the second", "7 is the first"], answer=1)) == "exact row"


def test_only_a_tasks_own_split_refuses_by_a_stem_alone() -> None:
    heldout = [
        {"question": "Animals", "choices": [f"a {n}", f"b {n}"], "label": 0} for n in range(2)
    ]
    heldout += [{"question": f"Animals {n}", "choices": ["a", "b"], "label": 0} for n in range(40)]
    index = HeldoutIndex({"quiz/quiz": hashed(heldout)})
    row = mc("Animals", ["eat plants or other animals", "make their food from light"])

    assert verdict(Contamination(index, ContaminationThresholds()), row) is None
    assert (
        reason(Contamination(index, ContaminationThresholds(), own="quiz/quiz"), row)
        == "exact question"
    )


def passage_row(question: str, context: str = PASSAGE, answer: str = "yes") -> Example:
    return example(
        answer_kind=AnswerKind.BOOLEAN,
        context=context,
        question=question,
        choices=["yes", "no"],
        answer=answer,
        answer_index=0 if answer == "yes" else 1,
    )


HELDOUT_PASSAGE: dict[str, Any] = {
    "context": PASSAGE,
    "question": "did a storm damage the lighthouse lantern at saint aubin in 1903?",
    "label": 1,
}


def with_fillers(**thresholds: Any) -> Contamination:
    rows = [HELDOUT_PASSAGE] + [
        {"context": f"{n} {PASSAGE[::-1]}", "question": f"is {n} an odd number?", "label": n % 2}
        for n in range(40)
    ]
    task = {**READING, "subtasks": {"quiz": {"config": "main"}}}
    return Contamination(
        HeldoutIndex({"quiz/quiz": hashed(rows, **task)}), ContaminationThresholds(**thresholds)
    )


def test_another_question_on_a_shared_passage_is_reported_and_kept() -> None:
    gate = with_fillers()

    assert verdict(gate, passage_row("was granite used to build it?")) is None
    assert gate.report.benchmarks["quiz/quiz"].shared_contexts == 1


def test_an_edited_question_on_its_own_passage_is_refused() -> None:
    row = passage_row("did a storm damage the lantern of the lighthouse at saint aubin in 1903?")

    assert reason(with_fillers(), row) == "question and context"


ASKED = "did a storm damage a lantern there?"


@pytest.mark.parametrize("context", ["", "Granite is a hard stone, and limestone is a soft one."])
def test_a_held_out_question_is_refused_without_its_passage(context: str) -> None:
    def verdict_on(question: str) -> str:
        gate = gate_against([{"context": PASSAGE, "question": question, "label": 1}], **READING)
        return reason(gate, passage_row(question.capitalize(), context))

    assert verdict_on(ASKED) == "exact question"
    assert not verdict_on("was it built in 1868?")


def test_the_same_question_about_another_premise_is_another_question() -> None:
    premises = ContaminationThresholds(contamination_context_words=100)
    heldout = {"context": PASSAGE, "question": ASKED, "label": 1}
    gate = gate_against([heldout], premises, **READING)

    assert not reason(gate, passage_row(ASKED, "Granite is a hard stone."))
    assert reason(gate, passage_row(ASKED))


def test_a_context_that_counts_as_part_of_the_question_refuses_a_row() -> None:
    gate = with_fillers(contamination_context_words=100)

    assert reason(gate, passage_row("was granite used to build it?")) == "exact context"


def test_scripts_without_spaces_are_compared_by_characters() -> None:
    heldout = (
        "京都から奈良まで歩いた旅人が途中の茶屋で休んだとき何を注文して飲んだと書かれていますか"
    )
    gate = gate_against([{"question": heldout, "choices": ["抹茶", "白湯", "甘酒"], "label": 2}])
    edited_a_little = heldout.replace("休んだとき", "一息ついたとき")
    choices = ["甘酒", "抹茶", "牛乳"]

    assert reason(gate, mc(edited_a_little, choices)) == "question and answer"
    assert verdict(gate, mc("奈良で食べた名物は何ですか", choices)) is None


@pytest.mark.parametrize("heldout", ["楽器を奏でる人を何と呼ぶ？", "ผู้ที่เล่นเครื่องดนตรีเรียกว่าอะไร"])
def test_a_short_question_without_spaces_is_recognized_in_other_text(heldout: str) -> None:
    gate = gate_against([{"question": heldout, "choices": ["甘酒", "抹茶", "白湯"], "label": 2}])
    row = example(
        answer_kind=AnswerKind.SHORT_TEXT,
        context=f"The note read: {heldout} Nobody knew.",
        question="What does the writer of the note want to know?",
        choices=[],
        answer="a word",
        answer_index=None,
    )

    assert reason(gate, row) == "whole question"


def test_a_verdict_does_not_depend_on_the_rest_of_the_batch() -> None:
    gate = gate_against([HELDOUT_MC, {**HELDOUT_NUMBER, "choices": ["99", "98"]}])
    rows = [mc(), number("What is 1 + 1?", "2"), mc(edited(GLACIER, 2)), mc("Why?" * 9)]
    alone = [bool(gate.refusals(Batch([row]))) for row in rows]

    assert [place in gate.refusals(Batch(rows)) for place in range(len(rows))] == alone


def test_the_report_counts_rows_once_and_adds_up() -> None:
    gate = gate_against([HELDOUT_MC])

    gate.refusals(Batch([mc(), mc(), number("What is 1 + 1?", "2")]))

    report = gate.report.as_dict()
    assert (report["rows"], report["refused"], report["suspicious"]) == (3, 2, 0)
    assert report["reasons"] == {"exact row": 2}
    assert report["benchmarks"]["quiz/quiz"]["refused"] == 2


def test_a_refusal_contains_no_held_out_text() -> None:
    refusal = verdict(gate_against([HELDOUT_MC]), mc(edited(GLACIER, 2)))

    assert refusal
    assert not {"glacier", "valley"} & set(f"{refusal.detail} {refusal.reason}".lower().split())


def test_an_empty_index_and_an_empty_batch_refuse_nothing() -> None:
    assert gate_against([]).refusals(Batch([mc()])) == {}
    assert gate_against([HELDOUT_MC]).refusals(Batch([])) == {}
