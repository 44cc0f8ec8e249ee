from __future__ import annotations

from pathlib import Path

from sdg_assets.gates import verification
from sdg_assets.records import AnswerKind
from sdg_assets_tests.support.records import generated
from sdg_assets_tests.support.solvers import Panel, answer, judged_by, question


def test_a_strong_majority_corrects_the_writer_where_that_is_allowed(tmp_path: Path) -> None:
    (row,), report = judged_by(
        Panel([answer("Rome")] * 5), tmp_path, votes=5, accept_corrections=True
    )

    assert (row.answer, row.written_answer, row.outcome) == ("Rome", "Paris", "majority_disagrees")
    assert row.choices[row.answer_index or 0] == "Rome"
    assert row.id != question().id
    assert row.verified
    assert row.vote_share == 1.0
    assert row.reasoning == "Some long thought leads there."
    assert row.judge
    assert report.corrected == 1
    assert verification.refusal_of(row) is None


def test_nothing_is_corrected_unless_it_is_allowed(tmp_path: Path) -> None:
    (row,), report = judged_by(Panel([answer("Rome")] * 5), tmp_path, votes=5)

    assert (row.answer, row.written_answer, row.verified) == ("Paris", "", False)
    assert report.corrected == 0


def test_an_answer_that_ends_in_an_abbreviation_is_verified_and_not_cut(tmp_path: Path) -> None:
    capital = question(
        answer_kind=AnswerKind.SHORT_TEXT,
        question="What is the capital of the United States?",
        answer="Washington, D.C.",
    )
    votes = Panel([answer("Washington, D.C.")] * 5)

    (row,), report = judged_by(votes, tmp_path, capital, votes=5, accept_corrections=True)

    assert (row.answer, row.outcome, row.verified) == ("Washington, D.C.", "agreed", True)
    assert report.corrected == 0


def test_a_weak_majority_corrects_nothing(tmp_path: Path) -> None:
    votes = [answer(v) for v in ("Rome", "Rome", "Rome", "Paris", "Madrid")]

    (row,), _ = judged_by(Panel(votes), tmp_path, votes=5, accept_corrections=True)

    assert (row.outcome, row.answer) == ("majority_disagrees", "Paris")


def test_voting_goes_on_until_a_correction_is_decided(tmp_path: Path) -> None:
    strong = Panel([answer("Rome")] * 5)
    judged_by(strong, tmp_path / "strong", votes=5, accept_corrections=True)
    weak = Panel(answer(v) for v in ("Rome", "Paris", "Rome", "Paris", "Rome"))
    judged_by(weak, tmp_path / "weak", votes=5, accept_corrections=True)

    assert strong.asked_for("solve") == 4, "four of five are strong"
    assert weak.asked_for("solve") == 5


def test_a_correction_that_the_schema_refuses_is_not_made(tmp_path: Path) -> None:
    row = generated(
        answer_kind=AnswerKind.SPAN,
        context="The seat of government is Paris.",
        question="Where is the seat?",
        answer="Paris",
    )

    (out,), report = judged_by(
        Panel([answer("Rome")] * 4), tmp_path, row, votes=4, accept_corrections=True
    )

    assert (out.answer, report.corrected) == ("Paris", 0)
