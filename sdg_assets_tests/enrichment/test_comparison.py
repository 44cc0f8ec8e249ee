from __future__ import annotations

from pathlib import Path

from sdg_assets.records import Vote
from sdg_assets_tests.support.solvers import Panel, judged_by, prose


def test_prose_agrees_when_the_judge_says_so(tmp_path: Path) -> None:
    panel = Panel(["Rayleigh's effect.", "Blue light is spread by molecules."], same=[True, True])

    (row,), _ = judged_by(panel, tmp_path, prose())

    assert (row.outcome, row.vote_share) == ("agreed", 1.0)
    assert row.votes == [Vote(answer=prose().answer, count=2)]


def test_prose_that_shares_words_but_not_the_meaning_does_not_agree(tmp_path: Path) -> None:
    wrong = "Air scatters long waves of light most."
    panel = Panel([wrong, wrong, wrong], same=[False])

    (row,), _ = judged_by(panel, tmp_path, prose())

    assert row.outcome == "majority_disagrees"
    assert panel.asked_for("judge/comparison") == 1, "an answer is compared once"


def test_prose_is_answered_and_not_reasoned_about(tmp_path: Path) -> None:
    (row,), _ = judged_by(Panel([prose().answer] * 2), tmp_path, prose())

    assert (row.outcome, row.reasoning) == ("agreed", "")
