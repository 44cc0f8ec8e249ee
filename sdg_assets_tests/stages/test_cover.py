"""Plans of coverage: the fewest requests, untried subtasks, shares, and holes that stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sdg_assets.catalog.taxonomy import load_taxonomy
from sdg_assets.errors import PermanentError
from sdg_assets.stages.cover import PILOT, Plan, Supply, plan_round, yields_of
from sdg_assets.stages.wishes import Wish, checked, of_every_cell, with_cells
from sdg_assets_tests.support.builders import seed_task

SUBTASKS: dict[str, dict[str, Any]] = {
    "laws": {"skills": ["recall_law"]},
    "lawsuits": {"skills": ["recall_law", "logic"]},
    "riddles": {"skills": ["logic"]},
    "sums": {"skills": ["arithmetic"], "language": "fr"},
}
TASK = seed_task(subtasks=SUBTASKS, languages=["en", "fr"])
SPECS = {key: TASK.resolve(key) for key in SUBTASKS}
YIELDS = {"quiz/laws": 0.5, "quiz/lawsuits": 0.4, "quiz/riddles": 0.5, "quiz/sums": 1.0}
EASY, HARD = "all votes agree", "fewer agree"


def supplies(**rows: int) -> list[Supply]:
    return [
        Supply(spec, {EASY: rows.get(key, 0)}, written=100, judged=100)
        for key, spec in SPECS.items()
    ]


def rows_of(plan: Plan) -> Mapping[str, int]:
    return {name.partition("/")[2]: target.rows for name, target in plan.targets.items()}


def test_a_row_that_serves_two_wishes_is_cheaper_than_two_rows() -> None:
    wishes = [Wish(skill="recall_law", rows=30), Wish(skill="logic", rows=20)]

    plan = plan_round(wishes, supplies(), yields=YIELDS)

    assert rows_of(plan) == {"laws": 10, "lawsuits": 20}
    assert plan.requests == 10 / 0.5 + 20 / 0.4
    assert plan.targets["quiz/laws"].most_written == 100 + 25, "a quarter more than expected"


def test_accepted_rows_are_not_asked_for_again() -> None:
    plan = plan_round([Wish(language="fr", rows=30)], supplies(sums=21), yields=YIELDS)

    assert rows_of(plan) == {"sums": 30}
    assert plan.requests == 9
    assert plan_round([Wish(language="fr", rows=21)], supplies(sums=21)).targets == {}


def test_a_share_counts_the_rows_that_are_added_elsewhere() -> None:
    wishes = [Wish(skill="arithmetic", share=0.5), Wish(skill="logic", rows=60)]

    plan = plan_round(wishes, supplies(laws=40), yields=YIELDS)

    assert rows_of(plan) == {"riddles": 60, "sums": 100}


def test_untried_subtasks_get_few_examples_and_known_ones_the_rest() -> None:
    known, *untried = supplies(laws=60)
    untried = [Supply(each.spec, {}) for each in untried]
    wishes = [Wish(skill="recall_law", rows=1000)]

    first = plan_round(wishes, [known, *untried], rounds=6)
    last = plan_round(wishes, [known, *untried], rounds=1)

    assert rows_of(last)["laws"] > 900
    assert rows_of(first)["laws"] < 300, "the rest waits until the yields are known"
    assert all(
        target.most_written == PILOT
        for plan in (first, last)
        for name, target in plan.targets.items()
        if name != "quiz/laws"
    )


def test_the_yield_of_an_untried_subtask_is_that_of_its_kind() -> None:
    supply = Supply(SPECS["laws"], {EASY: 20}, written=200, judged=200)

    yields = yields_of([supply, Supply(SPECS["riddles"], {}), Supply(SPECS["sums"], {}, 50, 0)])

    assert yields["quiz/laws"] == pytest.approx(0.1, abs=0.01)
    assert yields["quiz/riddles"] == pytest.approx(0.11, abs=0.01)
    assert yields["quiz/sums"] == yields["quiz/riddles"], "its examples are not judged yet"


def test_rows_of_a_difficulty_are_expected_as_often_as_before() -> None:
    given = [Supply(SPECS["laws"], {EASY: 75, HARD: 25}, 200, 200)]

    plan = plan_round([Wish(difficulty=HARD, rows=50)], given)

    assert rows_of(plan) == {"laws": 100 + 100}
    assert plan.goals[0].planned == 50


def test_holes_that_nobody_can_fill_stay_and_are_said() -> None:
    given = [
        Supply(SPECS["laws"], {EASY: 5}, written=100, judged=100, capacity=120),
        Supply(SPECS["riddles"], {}, capacity=0),
    ]
    hard = Wish(difficulty="probe passes rarely", rows=3)
    wishes = [Wish(skill="recall_law", rows=50), Wish(answer_kind="code", rows=7), hard]

    plan = plan_round(wishes, given)

    laws, code, rare = plan.goals
    assert (laws.unfillable, code.unfillable) == (44, 7)
    assert plan.targets["quiz/laws"].most_written == 120
    assert laws.why_unfillable.startswith("recall_law: 5 of 50 rows, and 44 cannot be written: the")
    assert code.why_unfillable.endswith("no enabled subtask has such rows")
    assert rare.why_unfillable.endswith("no accepted row of any is 'probe passes rarely' yet")


def test_shares_that_contradict_each_other_are_not_blamed_on_the_seeds() -> None:
    given = [
        Supply(SPECS["laws"], {EASY: 500}, written=1000, judged=1000, capacity=100_000),
        Supply(SPECS["sums"], {EASY: 500}, written=1000, judged=1000, capacity=100_000),
    ]
    wishes = [Wish(skill=skill, share=0.6) for skill in ("recall_law", "arithmetic")]

    sentences = [goal.why_unfillable for goal in plan_round(wishes, given).goals]

    assert any("cannot be written: the other wishes are against it" in each for each in sentences)
    assert plan_round(wishes[:1], given).goals[0].unfillable == 0


def test_cells_with_the_same_subtasks_are_one_wish() -> None:
    wishes = of_every_cell(SPECS.values(), 10)

    assert [wish.label for wish in wishes] == [
        "apply_knowledge, arithmetic, trivia, fr, multiple_choice",
        "apply_knowledge, logic, trivia, en, multiple_choice",
        "apply_knowledge, recall_law, trivia, en, multiple_choice",
    ]


def test_without_any_wish_each_cell_has_the_minimum_of_the_settings() -> None:
    specs, wish = list(SPECS.values()), Wish(skill="logic", rows=5)

    assert {each.rows for each in with_cells([], specs, None, 100)} == {100}
    assert with_cells([wish], specs, None, 100) == [wish]
    assert len(with_cells([wish], specs, 7, 100)) == 1 + 3


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ([{"skill": "arithmetics", "rows": 5}], "wish 1: unknown skill 'arithmetics'; did you"),
        ([{"domain": "physics", "rows": 5}], "wish 1: unknown domain 'physics'; known: trivia"),
        ([{"difficulty": "hard", "rows": 5}], "wish 1: unknown difficulty 'hard'; "),
        ([{"skill": "logic"}], "wish 1 (logic): give either rows or share"),
        ([{"skill": "logic", "rows": 0}], "wish 1 (logic): rows=0: must be at least 1"),
        ([{"skill": "logic", "share": 1.5}], "wish 1 (logic): share=1.5: must be above 0 and"),
        ([{"share": 0.5}], "wish 1 (all rows): share=0.5: must be above 0 and below 1, of rows"),
        ([{"skill": "logic", "rows": 5}] * 2, "wish 2 (logic): another wish is about the same"),
    ],
)
def test_a_wish_that_cannot_be_is_one_sentence(wishes: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(PermanentError) as error:
        checked(map(Wish.model_validate, wishes), list(SPECS.values()), load_taxonomy())

    assert str(error.value).startswith(message)
