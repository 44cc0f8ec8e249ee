from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.enrichment.comparison import verdict_of
from sdg_assets.enrichment.judge import RUBRIC, Judge, Ratings
from sdg_assets.records import AnswerKind, JudgeApi, Role
from sdg_assets.teacher.requests import Completion
from sdg_assets_tests.support.records import enriched, example
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion, ratings
from sdg_assets_tests.support.solvers import Panel, answer, judged_by

SEED = example(id="seed-1", question="What is the capital of Spain?", answer_index=2)


def judge(**fields: Any) -> Judge:
    teacher = ScriptedTeacher(lambda request: "", max_model_len=fields.pop("room", 100_000))
    return Judge(teacher, frame="A question on geography.", seeds={SEED.id: SEED}, **fields)


def said(text: str, finish_reason: str = "stop") -> Completion:
    request = judge().rating_request(enriched())
    assert request
    return completion(request, text).model_copy(update={"finish_reason": finish_reason})


def test_the_judge_sees_the_task_the_seed_and_the_whole_item() -> None:
    request = judge().rating_request(enriched(context="On the map of Europe.", language="en"))

    assert request
    prompt_text = "\n".join(message.content for message in request.messages)
    for part in (
        "A question on geography.",
        "capital of Spain",
        "On the map of Europe.",
        "capital of France",
        "Options: Paris; Rome; Madrid; Lisbon",
        "Answer: Paris",
        "fluent en (ISO code)",
    ):
        assert part in prompt_text
    assert request.role is Role.JUDGE
    assert request.sampling.temperature == 0
    assert request.json_schema
    assert set(request.json_schema["required"]) == set(Ratings.model_fields)


def test_a_seed_that_is_gone_is_left_out() -> None:
    request = judge().rating_request(enriched(seed_ids=["gone"]))

    assert request
    assert "Example of the task" not in request.messages[1].content


def test_ratings_become_scores_from_0_to_1() -> None:
    judgement = judge().judgement(said(ratings(same_skill=1, harmless=3)))

    assert judgement.criteria
    assert (judgement.criteria.same_skill, judgement.criteria.harmless) == (0.0, 0.5)
    assert judgement.criteria.self_contained == 1.0
    assert judgement.score == pytest.approx(0.7)
    assert judgement.reasons == ["Well made."]
    assert judgement.judge.model == "scripted/teacher"
    assert judgement.prompt_version == RUBRIC.version


@pytest.mark.parametrize(
    ("text", "finish_reason", "ended"),
    [
        ('{"comment": "It is', "length", "truncated"),
        (ratings(harmless=9), "stop", "stop"),
        ("Fine.", "stop", "stop"),
        ("", "thinking", "truncated while thinking"),
        ("", "content_filter", "filtered by the server"),
    ],
)
def test_an_unreadable_judgement_scores_0_and_is_kept(
    text: str, finish_reason: str, ended: str
) -> None:
    judgement = judge().judgement(said(text, finish_reason))

    assert (judgement.score, judgement.criteria) == (0.0, None)
    assert judgement.reasons[0].startswith(f"unreadable: {ended}: {text[:5]}")


def test_a_row_that_the_judges_server_refuses_says_so() -> None:
    refused = said("", "refused").model_copy(update={"refusal": "HTTP 400: blocked"})

    assert judge().judgement(refused).reasons == [
        "unreadable: the judge's server refused: HTTP 400: blocked"
    ]


def test_a_row_that_does_not_fit_the_judge_says_so() -> None:
    judgement = judge().judgement(said("", "too_long"))

    assert judgement.reasons == ["unreadable: the row does not fit the judge"]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"difference": "none", "same": true}', "correct"),
        ('{"difference": "another year", "same": false}', "incorrect"),
        ("They are the same.", "unreadable"),
    ],
)
def test_only_a_clear_verdict_makes_two_answers_the_same(text: str, verdict: str) -> None:
    assert verdict_of(judge(), said(text)) == verdict


def test_a_reward_model_reads_question_and_answer_as_a_conversation() -> None:
    request = judge(api="reward").rating_request(enriched(reasoning="It lies on the Seine."))

    assert request
    question, answer = request.messages
    assert (question.role, answer.role) == ("user", "assistant")
    assert question.content.startswith("What is the capital of France?\n- Paris")
    assert answer.content == "It lies on the Seine.\n\nAnswer: Paris"
    assert request.json_schema is None


@pytest.mark.parametrize(
    ("reward", "score"), [(0.0, 0.5), (4.0, 0.982014), (-1000.0, 0.0), (1000.0, 1.0)]
)
def test_a_reward_becomes_a_score_from_0_to_1(reward: float, score: float) -> None:
    judgement = judge(api="reward").judgement(said(json.dumps({"reward": reward})))

    assert judgement.score == pytest.approx(score)
    assert (judgement.criteria, judgement.reasons) == (None, [])


def test_a_reward_model_compares_nothing() -> None:
    assert judge().compares(AnswerKind.FREE_FORM)
    assert not judge(api="score").compares(AnswerKind.FREE_FORM)


@pytest.mark.parametrize("kind", AnswerKind)
def test_items_of_every_kind_can_be_judged(kind: AnswerKind) -> None:
    row = enriched(
        answer_kind=kind,
        context="The answer is yes.",
        choices=["yes", "no"],
        answer_index=0,
        answer="yes",
        tests=["assert yes", "assert not no"] if kind is AnswerKind.CODE else [],
    )

    apis: tuple[JudgeApi, ...] = ("rubric", "reward")
    for api in apis:
        this_judge = Judge(ScriptedTeacher(lambda _: ""), api=api, seeds={"seed-1": row})
        request = this_judge.rating_request(row)
        assert request
        assert "{%" not in "".join(message.content for message in request.messages)


def test_a_verified_row_is_judged_and_keeps_its_scores(tmp_path: Path) -> None:
    (row,), _ = judged_by(Panel([answer("Paris")] * 2, rating=4), tmp_path)

    assert row.judge
    assert (row.judge.score, row.judge.reasons) == (0.75, ["So so."])
    assert row.knowledge == "A background."


def test_an_unverified_row_is_not_judged(tmp_path: Path) -> None:
    panel = Panel([answer("Rome")] * 2)
    (row,), _ = judged_by(panel, tmp_path)

    assert row.judge is None
    assert panel.asked_for("judge") == 0
