from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.enrichment import asking
from sdg_assets.enrichment.asking import together
from sdg_assets.enrichment.background import ENRICHMENT as BACKGROUND
from sdg_assets.enrichment.base import enrichments
from sdg_assets.enrichment.condensed import ENRICHMENT as CONDENSED
from sdg_assets.enrichment.judge import ENRICHMENT as JUDGE
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.errors import PermanentError
from sdg_assets.heldout.fingerprints import trained_texts
from sdg_assets.records import Role
from sdg_assets.stages.enriched import enrich
from sdg_assets.teacher.conversation import Desk, Usage, Work
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Message, Request
from sdg_assets.teacher.stream import converse
from sdg_assets_tests.support.records import enriched, generated
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion


def request(text: str) -> Request:
    teacher = ScriptedTeacher(lambda _: "")
    messages = [Message(role="user", content=text)]
    return request_of(teacher.identity, messages, role=Role.SOLVER, version="p@1")


def asks(*waves: list[str]) -> Work[list[str]]:
    """Work that sends these batches of requests and returns the answers."""
    answers = []
    for wave in waves:
        answers += [c.text for c in (yield [request(text) for text in wave])]
    return answers


def test_parallel_work_asks_in_one_batch_and_each_gets_its_own_answers() -> None:
    work = together({"a": asks(["1", "2"], ["3"]), "b": asks(["4"]), "none": asks()})
    batches = []
    answers = None
    while True:
        try:
            batch = next(work) if answers is None else work.send(answers)
        except StopIteration as finished:
            results = finished.value
            break
        batches.append([r.messages[0].content for r in batch])
        answers = [completion(r, r.messages[0].content * 2) for r in batch]

    assert batches == [["1", "2", "4"], ["3"]]
    assert results == {"a": ["11", "22", "33"], "b": ["44"], "none": []}
    assert list(results) == ["a", "b", "none"]


def test_judge_background_and_condensed_are_enrichments_that_nothing_lists() -> None:
    assert enrichments()[:3] == (BACKGROUND, CONDENSED, JUDGE)


@pytest.mark.parametrize(
    ("place", "asks"),
    [
        (
            "sdg_assets.enrichment.verification.declared_prompts",
            "voting asks the solver with prompt solve_json/",
        ),
        (
            "sdg_assets.enrichment.background.Background.prompts",
            "enrichment 'background' asks the solver with prompt knowledge/",
        ),
    ],
)
def test_a_built_in_prompt_cannot_be_asked_with_unless_it_is_declared(
    place: str, asks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, lambda *_: [])
    teacher = ScriptedTeacher(lambda _: "Answer: Paris")

    with CompletionLog(tmp_path / "log") as log:
        works = enrich([generated()], teacher, SolverKnobs())
        with pytest.raises(PermanentError, match=asks):
            converse(works, {Role.SOLVER: Desk(teacher, log)}, Usage())
    asking._declared.cache_clear()  # it has read the prompts that are patched here


@pytest.mark.parametrize("enrichment", enrichments(), ids=lambda enrichment: enrichment.name)
def test_every_column_that_is_said_to_be_trained_on_is_read_by_the_contamination_gate(
    enrichment: object,
) -> None:
    for column in getattr(enrichment, "trained", ()):
        row = enriched(**{column: "Words of an enrichment."})
        assert "Words of an enrichment." in trained_texts(row)
