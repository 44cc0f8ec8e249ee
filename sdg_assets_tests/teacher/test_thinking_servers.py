"""Thinking teachers behind servers: what is sent, and how an answer is parted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sdg_assets.records import Role
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher
from sdg_assets.teacher.requests import (
    Completion,
    Message,
    Sampling,
    TeacherIdentity,
)
from sdg_assets.teacher.thinking import Thinking
from sdg_assets_tests.support.odd_server import CHAT, OddServer, odd_server, reply
from sdg_assets_tests.support.records import STAMP
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.thinkers import ALWAYS, BY_SYSTEM, SWITCHED

MESSAGES = [Message(role="system", content="Be brief."), Message(role="user", content="Why?")]


@pytest.fixture
def server() -> Iterator[OddServer]:
    with odd_server() as odd:
        yield odd


Ask = Callable[..., Completion]


@pytest.fixture
def ask(server: OddServer) -> Ask:
    """The completion of a request that the server answers with this message."""

    def run(
        message: dict[str, Any],
        thinking: Thinking | None = SWITCHED,
        finish: str = "stop",
        mode: str = "",
        **usage: Any,
    ) -> Completion:
        choice = {"message": message, "finish_reason": finish}
        counts = {"prompt_tokens": 9, "completion_tokens": 40, **usage}
        server.answers[CHAT] = [reply({"choices": [choice], "usage": counts})]
        teacher = EndpointTeacher(TeacherSpec(server.url))
        teacher.identity = TeacherIdentity(STAMP, thinking=thinking)
        sampling = Sampling(thinking=mode)
        teacher.submit(request_of(teacher.identity, MESSAGES, sampling, role=Role.SOLVER))
        (outcome,) = teacher.poll()
        assert isinstance(outcome, Completion), outcome
        return outcome

    return run


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thought_and_answer_come_apart_under_either_name(ask: Ask, name: str) -> None:
    answer = ask({"content": "Yes.", name: "\nIt is so.\n"})

    assert (answer.text, answer.reasoning) == ("Yes.", "It is so.")
    assert (answer.finish_reason, answer.output_tokens) == ("stop", 40)
    assert 0 < answer.reasoning_tokens < 40, "estimated by the share of the characters"


def test_a_servers_own_count_of_the_thought_is_used(ask: Ask) -> None:
    counts = {"completion_tokens_details": {"reasoning_tokens": 31}}

    assert ask({"content": "Yes.", "reasoning": "So."}, **counts).reasoning_tokens == 31


@pytest.mark.parametrize(
    "message", [{"content": None, "reasoning": "It is"}, {"content": "<think>It is"}]
)
def test_a_thought_that_was_cut_off_is_named(ask: Ask, message: dict[str, Any]) -> None:
    answer = ask(message, finish="length")

    assert (answer.finish_reason, answer.text, answer.reasoning) == ("thinking", "", "It is")
    assert answer.reasoning_tokens == 40


def test_an_answer_that_was_cut_off_after_the_thought_is_truncated(ask: Ask) -> None:
    assert ask({"content": "Ye", "reasoning": "So."}, finish="length").finish_reason == "length"


@pytest.mark.parametrize("content", ["<think>\nSo.\n</think>\n\nYes.", "So.\n</think>\n\nYes."])
@pytest.mark.parametrize("thinking", [SWITCHED, None])
def test_a_server_without_a_parser_leaves_no_thought_in_the_answer(
    ask: Ask, content: str, thinking: Thinking | None
) -> None:
    answer = ask({"content": content}, thinking)

    assert (answer.text.strip(), answer.reasoning) == ("Yes.", "So.")


def test_an_answer_without_a_thought_is_not_taken_for_one(ask: Ask) -> None:
    """The parser of a model that always thinks takes an output without tags for a thought."""
    answer = ask({"content": None, "reasoning": "Yes."}, SWITCHED, mode="off")

    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Yes.", "", "stop")


@pytest.mark.parametrize(("thinking", "mode"), [(None, ""), (None, "off"), (SWITCHED, "off")])
@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_thought_that_nobody_asked_for_and_that_was_cut_off_is_no_answer(
    ask: Ask, thinking: Thinking | None, mode: str, content: str | None
) -> None:
    message = {"content": content, "reasoning_content": "Okay, the user asks"}

    answer = ask(message, thinking, finish="length", mode=mode)

    assert (answer.finish_reason, answer.text.strip()) == ("thinking", "")
    assert answer.reasoning == "Okay, the user asks"


def test_a_thought_of_a_model_without_a_card_is_no_answer_if_nothing_follows(ask: Ask) -> None:
    answer = ask({"content": "", "reasoning_content": "Okay, hmm"}, None)

    assert (answer.finish_reason, answer.text, answer.reasoning) == ("stop", "", "Okay, hmm")


@pytest.mark.parametrize(
    ("thinking", "mode", "advice"),
    [
        (None, "", "its card has no `thinking`"),
        (SWITCHED, "off", "its server ignores the switch .* Set SDG_THINKING=solver:on"),
    ],
)
def test_a_teacher_that_thinks_unasked_is_told_once_by_name(
    ask: Ask,
    server: OddServer,
    caplog: pytest.LogCaptureFixture,
    thinking: Thinking | None,
    mode: str,
    advice: str,
) -> None:
    for _ in range(3):
        ask({"content": "Yes.", "reasoning": "So."}, thinking, mode=mode)

    (warning,) = [record for record in caplog.records if record.name.endswith("thoughts")]
    said = warning.getMessage()
    assert f"teacher {server.url}: as solver it thinks although" in said
    assert re.search(advice, said)


def test_a_teacher_that_thinks_as_it_should_is_no_warning(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    ask({"content": "Yes.", "reasoning": "So."}, SWITCHED, mode="on")
    ask({"content": "Yes."}, None)

    assert not [record for record in caplog.records if record.name.endswith("thoughts")]


ENDED_AT_BUDGET = {"max_tokens": 1512, "thinking_token_budget": 1000}
"""A thought may not take the 512 tokens of the answer."""


@pytest.mark.parametrize(
    ("thinking", "mode", "fields"),
    [
        (SWITCHED, "", ENDED_AT_BUDGET),
        (SWITCHED, "on", {"chat_template_kwargs": {"enable_thinking": True}, **ENDED_AT_BUDGET}),
        (SWITCHED, "off", {"chat_template_kwargs": {"enable_thinking": False}, "max_tokens": 512}),
        (
            ALWAYS,
            "low",
            {
                "chat_template_kwargs": {"reasoning_effort": "low"},
                "reasoning_effort": "low",
                **ENDED_AT_BUDGET,
            },
        ),
        (None, "", {"max_tokens": 512}),
    ],
)
def test_a_mode_is_sent_with_the_request(
    server: OddServer, thinking: Thinking | None, mode: str, fields: dict[str, Any]
) -> None:
    teacher = EndpointTeacher(TeacherSpec(server.url))
    teacher.identity = TeacherIdentity(STAMP, thinking=thinking)
    sampling = Sampling(thinking=mode, max_tokens=512)

    request = request_of(teacher.identity, MESSAGES, sampling, role=Role.SOLVER)
    body = teacher.body(request)

    ours = {"model", "messages", "temperature", "top_p", "top_k", "min_p", "repetition_penalty"}
    assert {name: value for name, value in body.items() if name not in ours} == fields


def test_a_system_switch_opens_the_system_turn(server: OddServer) -> None:
    teacher = EndpointTeacher(TeacherSpec(server.url))
    teacher.identity = TeacherIdentity(STAMP, thinking=BY_SYSTEM)
    sampling = Sampling(thinking="on", top_k=20, min_p=0.1)

    request = request_of(teacher.identity, MESSAGES, sampling, role=Role.SOLVER)
    body = teacher.body(request)

    assert body["messages"][0]["content"] == "detailed thinking on\n\nBe brief."
    assert (body["top_k"], body["min_p"]) == (20, 0.1)
