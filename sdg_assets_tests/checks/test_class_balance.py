from __future__ import annotations

import pytest

from sdg_assets.checks.classes import ClassBalance
from sdg_assets.checks.inspection import Inspection
from sdg_assets.records import AnswerKind, Example, Rejection, Stage
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.support.heldout import nothing_held_out
from sdg_assets_tests.support.records import enriched, example


def labelled(number: int, answer: str) -> Example:
    return example(
        answer_kind=AnswerKind.LABEL,
        question=f"Is the sentiment of this sentence negative or positive? It is number {number}.",
        choices=["negative", "positive"],
        answer=answer,
        answer_index=int(answer == "positive"),
    )


def refusal(row: Example) -> Rejection:
    return Rejection(gate="contamination", reason="question", row=row.model_dump(mode="json"))


def lost(positive: int, negative: int, of: int = 100) -> ClassBalance:
    """Counts of two classes with `of` rows each, of which `positive` and `negative` are refused."""
    balance = ClassBalance()
    for number in range(of):
        for answer, count in (("positive", positive), ("negative", negative)):
            row = labelled(number, answer)
            balance.see(refusal(row) if number < count else row)
    return balance


def test_a_class_that_is_refused_far_more_often_is_named_with_its_numbers() -> None:
    worst = lost(positive=60, negative=1).worst()

    assert worst
    assert worst.excess == pytest.approx(0.59)
    assert str(worst) == (
        "60 of 100 rows with the answer 'positive' are refused (60%), 1 of 100 with any other"
    )


def test_classes_with_equal_losses_are_balanced_even_if_the_losses_are_large() -> None:
    assert lost(positive=70, negative=68).worst() is None
    assert lost(positive=3, negative=0, of=8).worst() is None, "so few rows may be chance"


def test_rows_with_options_of_their_own_have_no_classes() -> None:
    balance = ClassBalance()
    for number in range(200):
        row = example(question=f"Which is number {number}?", choices=[f"{number}", "none"])
        balance.see(refusal(row) if number < 100 else row)

    assert balance.worst() is None


@pytest.mark.parametrize(("stage", "blocks"), [("normalized", True), ("filtered", False)])
def test_a_vanished_class_is_an_error_among_seeds_and_a_warning_among_what_was_written(
    stage: str, blocks: bool
) -> None:
    inspection = Inspection(Stage(stage), heldout=nothing_held_out())
    for number in range(40):
        inspection.see(refusal(labelled(number, "positive")))
        kept = labelled(number, "negative")
        inspection.see(kept if stage == "normalized" else enriched(**dict(kept)))
    (outcome,) = [o for o in inspection.outcomes() if o.name == "class_balance"]

    assert (outcome.passed, outcome.blocking) == (False, blocks)
    assert outcome.numbers == {"lost": 40, "rows": 40, "others_lost": 0, "others": 40}
    assert "raise the threshold `class_loss`" in outcome.summary


def test_a_task_may_change_the_threshold() -> None:
    inspection = Inspection(Stage.NORMALIZED, thresholds=Thresholds(class_loss=1.0))
    for number in range(40):
        inspection.see(refusal(labelled(number, "positive")))
        inspection.see(labelled(number, "negative"))
    (outcome,) = [o for o in inspection.outcomes() if o.name == "class_balance"]

    assert outcome.passed
