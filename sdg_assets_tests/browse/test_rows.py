"""A vote's trace is found again by what the row says of it, with the choices as it saw them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.browse.rows import Row, completions_with, traces
from sdg_assets.enrichment.correction import id_with
from sdg_assets.enrichment.votes import presented
from sdg_assets.records import AnswerKind, Equivalence, Role, Verdict, VerdictWord
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.log.seal import sealed, unsealed
from sdg_assets_tests.browse.library import completion
from sdg_assets_tests.support.records import STAMP, enriched
from sdg_assets_tests.support.solvers import Solver, answer, enriched_by


def test_every_vote_of_an_enriched_row_is_found_in_the_log_without_touching_it(
    tmp_path: Path,
) -> None:
    solver = Solver(answer(v) for v in ["Paris", "Rome", "Paris"])
    (row,) = enriched_by(solver, tmp_path, votes=3)
    (log,) = (file for file in tmp_path.iterdir() if file.is_file())
    log.rename(tmp_path / "solver-aaaa-bbbb.jsonl")
    before = (tmp_path / "solver-aaaa-bbbb.jsonl").read_bytes()

    votes = traces(Row(0, row.model_dump(mode="json")), tmp_path)

    assert [(vote.number, vote.answer, vote.agrees) for vote in votes] == [
        (1, "Paris", True),
        (2, "Rome", False),
        (3, "Paris", True),
    ]
    assert completions_with(tmp_path, Role.SOLVER, ["nobody", '"},{"x":"']) == {}
    assert completions_with(tmp_path, Role.JUDGE, row.vote_ids) == {}
    assert (tmp_path / "solver-aaaa-bbbb.jsonl").read_bytes() == before


def logged(place: Path, *texts: str) -> list[str]:
    """Logs votes with these texts; returns their ids."""
    ids = [f"v{number}" for number in range(len(texts))]
    with CompletionLog(place / "solver-aaaa-bbbb.jsonl") as log:
        for request, text in zip(ids, texts, strict=True):
            log.append(completion(request, text))
    return ids


def test_of_a_request_that_was_asked_again_the_last_answer_is_shown(tmp_path: Path) -> None:
    logged(tmp_path, "cut off")
    log = tmp_path / "solver-aaaa-bbbb.jsonl"
    again = unsealed(log.read_bytes(), log)
    assert again
    again = again.model_copy(update={"text": "The answer is 4.", "attempt": 2})
    log.write_bytes(sealed(again) + log.read_bytes())  # the order in a folder of segments is any
    (tmp_path / "solver-aaaa-bbbb.segments").mkdir()
    old = again.model_copy(update={"text": "old", "attempt": 1})
    (tmp_path / "solver-aaaa-bbbb.segments" / "9.jsonl").write_bytes(sealed(old))

    assert completions_with(tmp_path, Role.SOLVER, ["v0"])["v0"].text == "The answer is 4."


def test_the_letters_of_a_corrected_row_are_those_that_the_solver_saw(tmp_path: Path) -> None:
    choices = ["Rhine", "Elbe", "Oder", "Danube"]
    kind = AnswerKind.MULTIPLE_CHOICE
    row = enriched(answer_kind=kind, question="Which river flows through Dresden?", choices=choices)
    written = row.model_copy(
        update={"id": id_with(row, "Oder"), "answer": "Oder", "answer_index": 2}
    )
    letters = ["ABCD"[presented(written, number).choices.index("Elbe")] for number in range(6)]
    ids = logged(tmp_path, *(f"It lies on the Elbe.\n\nThe answer is ({x})." for x in letters))
    corrected = written.model_copy(
        update={
            "id": id_with(row, "Elbe"),
            "answer": "Elbe",
            "answer_index": 1,
            "written_answer": "Oder",
            "vote_ids": ids,
        }
    )

    votes = traces(Row(0, corrected.model_dump(mode="json")), tmp_path)

    assert [(vote.answer, vote.agrees) for vote in votes] == [("Elbe", True)] * 6


@pytest.mark.parametrize(
    ("verdict", "agrees"),
    [
        ("correct", True),
        ("equal", True),
        ("incorrect", False),
        ("unreadable", False),
        ("cut_off", None),
    ],
)
def test_a_models_verdict_on_a_vote_is_shown_and_not_the_rules(
    tmp_path: Path, verdict: VerdictWord, agrees: bool | None
) -> None:
    (request,) = logged(tmp_path, "It is a nickname.\n\nThe answer is The Big Apple.")
    row = enriched(
        answer_kind=AnswerKind.SHORT_TEXT,
        question="Which city is meant?",
        answer="New York",
        vote_ids=[request],
        equivalence=Equivalence(
            verdicts=[Verdict(answer="The Big Apple", verdict=verdict)],
            verifier=STAMP,
            prompt_version="x",
        ),
    )

    (vote,) = traces(Row(0, row.model_dump(mode="json")), tmp_path)

    assert (vote.answer, vote.agrees) == ("The Big Apple", agrees)


def test_a_vote_for_the_writers_answer_disagrees_with_its_correction(tmp_path: Path) -> None:
    ids = logged(tmp_path, "The answer is NYC.", "The answer is Boston.")
    row = enriched(
        answer_kind=AnswerKind.SHORT_TEXT,
        question="Which city is meant?",
        answer="Boston",
        written_answer="New York",
        vote_ids=ids,
        equivalence=Equivalence(
            verdicts=[
                Verdict(answer="NYC", verdict="correct"),
                Verdict(answer="Boston", verdict="incorrect"),
            ],
            verifier=STAMP,
            prompt_version="x",
        ),
    )

    votes = traces(Row(0, row.model_dump(mode="json")), tmp_path)

    assert [(vote.answer, vote.agrees) for vote in votes] == [("NYC", False), ("Boston", True)]
