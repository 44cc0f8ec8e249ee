from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdg_assets.enrichment.background import knowledge_fault, knowledge_of, knowledge_request
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import AnswerKind, Example
from sdg_assets.teacher.requests import Completion, Request
from sdg_assets_tests.support.records import example, numeric
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion
from sdg_assets_tests.support.solvers import Solver, answer, enriched_by, is_background

PASSAGE = (
    "The Loire rises in the Ardèche. It flows north and then west for a thousand kilometres, and "
    "reaches the Atlantic near Saint-Nazaire."
)


def said(text: str, finish_reason: str = "stop") -> Completion:
    return Completion.model_validate(
        {
            "request_id": "r",
            "text": text,
            "finish_reason": finish_reason,
            "prompt_tokens": 1,
            "output_tokens": 1,
        }
    )


def fault(text: str, row: Example | None = None) -> str:
    return knowledge_fault(said(text), row or example())


def span(**changes: Any) -> Example:
    return example(
        answer_kind=AnswerKind.SPAN,
        context=PASSAGE,
        question="Where does the Loire end?",
        answer="near Saint-Nazaire",
        **changes,
    )


def test_facts_that_lead_to_the_answer_are_a_background() -> None:
    assert fault("A capital is where a state is governed. In France that is Paris.") == ""


def test_the_first_sentence_must_not_give_the_answer_away() -> None:
    assert fault("Paris is the capital of a country in Europe. It lies on the Seine.") == (
        "gives the answer away"
    )
    assert fault("In 1900, PARIS held a fair.") == "gives the answer away"


@pytest.mark.parametrize(
    ("first", "language", "answer"),
    [
        ("北京是中国的首都。它在北方。", "zh", "北京"),
        ("राजधानी दिल्ली है। यह यमुना पर है।", "hi", "दिल्ली"),
        ("العاصمة هي القاهرة. تقع على النيل.", "ar", "القاهرة"),
    ],
)
def test_sentences_end_in_any_script(first: str, language: str, answer: str) -> None:
    row = example(
        answer_kind=AnswerKind.SHORT_TEXT,
        language=language,
        question="? " * 5,
        answer=answer,
        choices=[],
    )

    assert fault(first, row) == "gives the answer away"


def test_only_the_first_sentence_of_another_script_counts() -> None:
    row = example(
        answer_kind=AnswerKind.SHORT_TEXT,
        language="zh",
        question="中国的首都是哪里？",
        answer="北京",
    )

    assert fault("首都是政府所在地。中国的首都是北京。", row) == ""


def test_an_answer_that_the_question_names_is_no_secret() -> None:
    row = example(question="Is Paris or Rome the capital of France?")

    assert fault("Paris and Rome are capitals. Each governs a state.", row) == ""


def test_yes_and_a_single_digit_give_nothing_away() -> None:
    yes = example(answer_kind=AnswerKind.BOOLEAN, choices=["yes", "no"], answer_index=0)

    assert fault("Many rivers end in a sea, yes, but some do not.", yes) == ""
    assert fault("A week has 7 days. A fortnight has two weeks.", numeric(answer="7")) == ""


@pytest.mark.parametrize("text", ["Yes, many rivers do.", "**No.** Rivers end in seas."])
def test_a_background_does_not_begin_with_the_verdict(text: str) -> None:
    yes = example(answer_kind=AnswerKind.BOOLEAN, choices=["yes", "no"], answer_index=0)

    assert fault(text, yes) == "gives the answer away"
    assert fault("No one knows how many rivers there are.", yes) == ""


def test_a_number_that_is_the_result_gives_it_away() -> None:
    assert fault("The product of both is 42. It is even.", numeric()) == "gives the answer away"


def test_a_calculation_must_not_be_done_in_any_sentence() -> None:
    worked = "Products are repeated sums. Six sevens together are 42."

    assert fault(worked, numeric()) == "gives the answer away"
    assert fault("Products are repeated sums. Ten sevens together are 70.", numeric()) == ""


@pytest.mark.parametrize(
    "text",
    [
        "Planets differ in size. The question asks for the smallest one.",
        "The background explains what a capital is. Governments sit there.",
        "In this problem, cities are compared. Some are capitals.",
        "Capitals govern. The options given are four cities.",
        "Cities differ. The question then asks for the one that governs.",
        "Cities differ in size. The correct answer is the one that governs.",
        "Governments sit in one city. The other options do not matter.",
        "The background for this question is that governments sit in cities.",
        "Cities differ. The background information includes the following facts:",
        "Certainly! Governments sit in cities.",
        "Below is the background that you need before the question: cities differ.",
        "Governments sit in cities. The answer is one of them.",
    ],
)
def test_a_background_does_not_speak_of_its_question(text: str) -> None:
    assert fault(text) == "speaks of the question"


def test_only_a_row_with_a_passage_may_speak_of_one() -> None:
    text = "Rivers end in seas. The passage also says where this one rises."

    assert fault(text) == "speaks of a passage"
    assert fault(text, span()) == ""


def test_questions_and_options_of_the_world_may_be_spoken_of() -> None:
    assert (
        fault("Who governs is the question of politics. Traders buy the options of a share.") == ""
    )


def test_a_background_that_repeats_the_question_is_a_copy() -> None:
    assert fault("What is the capital of France, one may ask.") == "copy of the question"


def test_evidence_may_quote_the_passage_but_not_be_it() -> None:
    quoted = f"A river ends where it meets the sea. {PASSAGE.split('. ')[1]}"

    assert fault(quoted, span()) == ""
    assert fault(PASSAGE, span()) == "copy of the passage"


def test_a_truncated_or_empty_background_is_not_kept() -> None:
    assert knowledge_fault(said("A capital is", "length"), example()) == "truncated"
    assert fault("  \n") == "empty"


def test_a_heading_is_removed() -> None:
    assert knowledge_of(said("**Background:**\n\nA capital is a city.")) == "A capital is a city."
    assert (
        knowledge_of(said("Background noise is everywhere.")) == "Background noise is everywhere."
    )


@pytest.mark.parametrize("kind", AnswerKind)
def test_every_answer_kind_is_asked_in_its_own_way(kind: AnswerKind) -> None:
    row = example(answer_kind=kind, choices=["yes", "no"], answer_index=0, answer="yes")
    request = knowledge_request(row, 0, ScriptedTeacher(lambda _: ""), SolverKnobs())

    system, user = (message.content for message in request.messages)
    assert "do not state the answer in the first sentence" in system
    assert "{%" not in system + user
    assert user.endswith("Write the background.")
    assert request.prompt_version.startswith(f"knowledge/{kind.value}@")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A capital governs a state. As an AI language model, I cannot say more.", "prompt debris"),
        ("A capital governs a state. It is so. " + "It has a court. " * 20, "repetition"),
        (
            "Eine Hauptstadt ist der Sitz der Regierung eines Landes, und dort stehen die Gebäude, "
            "in denen die Minister arbeiten und die Gesetze beschlossen werden.",
            "in another language",
        ),
    ],
)
def test_a_background_must_read_as_well_as_a_row(text: str, reason: str, tmp_path: Path) -> None:
    solver = Solver([answer("Paris")] * 2, background=text)

    (row,) = enriched_by(solver, tmp_path)

    assert (row.knowledge, row.knowledge_fault) == ("", reason)


@pytest.mark.parametrize("votes", [["Rome", "Rome"], ["hm", "hm", "hm"]])
def test_an_unverified_row_costs_no_background(tmp_path: Path, votes: list[str]) -> None:
    solver = Solver(answer(v) if v != "hm" else "Who knows" for v in votes)

    (row,) = enriched_by(solver, tmp_path, votes=3)

    assert (row.reasoning, row.knowledge) == ("", "")
    assert not any(is_background(r) for r in solver.requests)


def test_a_verified_row_gets_its_background_unless_switched_off(tmp_path: Path) -> None:
    (row,) = enriched_by(Solver([answer("Paris")] * 2), tmp_path / "on", votes=3)
    assert row.knowledge == "France is in Europe."

    solver = Solver([answer("Paris")] * 2)
    (row,) = enriched_by(solver, tmp_path / "off", votes=3, with_knowledge=False)
    assert row.knowledge == ""
    assert len(solver.requests) == 2


def test_a_background_that_only_repeats_the_question_is_dropped(tmp_path: Path) -> None:
    solver = Solver([answer("Paris")] * 2, background="what is the capital of FRANCE")

    (row,) = enriched_by(solver, tmp_path, votes=3)

    assert (row.outcome, row.knowledge) == ("agreed", "")


def test_a_truncated_background_is_dropped(tmp_path: Path) -> None:
    def cut(request: Request) -> Completion:
        text = answer("Paris")
        return completion(request, text, "length" if is_background(request) else "stop")

    (row,) = enriched_by(ScriptedTeacher(cut), tmp_path, votes=3)

    assert (row.outcome, row.knowledge) == ("agreed", "")


def test_a_row_that_does_not_fit_the_solver_with_its_answer_says_so(tmp_path: Path) -> None:
    def fits(request: Request) -> Completion:
        text = answer("Paris")
        return completion(request, text, "too_long" if is_background(request) else "stop")

    teacher = ScriptedTeacher(fits)
    (row,) = enriched_by(teacher, tmp_path, votes=3)

    assert (row.outcome, row.knowledge, row.knowledge_fault) == ("agreed", "", "too long")
    assert sum(map(is_background, teacher.requests)) == 1


def test_a_background_that_tells_too_much_is_asked_for_again(tmp_path: Path) -> None:
    backgrounds = iter(["Paris is it. Really.", "A capital governs a state."])

    def say(request: Request) -> str:
        return next(backgrounds) if is_background(request) else answer("Paris")

    (row,) = enriched_by(ScriptedTeacher(say), tmp_path)

    assert (row.knowledge, row.knowledge_fault) == ("A capital governs a state.", "")


def test_a_background_that_stays_bad_is_left_out_and_says_why(tmp_path: Path) -> None:
    (row,) = enriched_by(Solver([answer("Paris")] * 2, background="Paris. It is Paris."), tmp_path)

    assert (row.outcome, row.knowledge) == ("agreed", "")
    assert row.knowledge_fault == "gives the answer away"
