"""A refusal concerns one row, or the settings of the server: who is to blame."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.errors import PermanentError, TransientError
from sdg_assets.records import Role
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher
from sdg_assets.teacher.conversation import Desk, Feed, Usage, Work
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Completion, Message, Request, Sampling
from sdg_assets.teacher.server import blame
from sdg_assets.teacher.server import server as servers
from sdg_assets.teacher.server.blame import MOST_IN_A_ROW, Blame
from sdg_assets.teacher.server.refusals import TemporaryError
from sdg_assets.teacher.stream import fill
from sdg_assets_tests.support.odd_server import CHAT, OddServer, odd_server, reply
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

FORBIDDEN = "a forbidden word"
BLOCKED = {"error": {"message": "blocked by policy", "code": 400}}


class Censor(TeacherServer):
    """Refuses some requests."""

    def __init__(self) -> None:
        super().__init__()
        self.refused_texts: list[str] = [FORBIDDEN]
        """Requests that hold one of these are refused with HTTP 400."""
        self.seconds = 0.02

    def refusal(self, body: dict[str, Any]) -> dict[str, Any]:
        content = json.dumps(body)
        return BLOCKED if any(text in content for text in self.refused_texts) else {}

    def complete(self, body: dict[str, Any]) -> str:
        return "Oslo"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.0005)


@pytest.fixture
def censor() -> Iterator[Censor]:
    with teacher_server(Censor()) as server:
        yield server


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


def opened(censor: Censor) -> EndpointTeacher:
    return EndpointTeacher(TeacherSpec(censor.url, concurrency=40))


def request(teacher: EndpointTeacher, number: int, text: str = "Which city?") -> Request:
    messages = [Message(role="user", content=f"{text} {number}")]
    return request_of(teacher.identity, messages, Sampling(sample=number))


def filled(
    teacher: EndpointTeacher, folder: Path, texts: list[str]
) -> tuple[list[Completion], Exception | None, Usage]:
    """The answers in the log of a partition, its error, and what it cost."""
    usage = Usage()
    with CompletionLog(folder / "writer") as log:
        desks = {Role.WRITER: Desk(teacher, log)}
        works = (_asked(request(teacher, n, text)) for n, text in enumerate(texts))
        (feed,) = fill([Feed(works, desks, usage)])
        return [*log], feed.error, usage


def _asked(request: Request) -> Work[None]:
    yield [request]


def test_a_refused_row_costs_its_partition_nothing_else_and_is_not_asked_again(
    censor: Censor, tmp_path: Path
) -> None:
    texts = ["Which city?"] * 60
    texts[0] = texts[30] = FORBIDDEN

    answers, error, _ = filled(opened(censor), tmp_path, texts)

    assert error is None
    assert sum(answer.finish_reason == "stop" for answer in answers) == 58
    refusals = {answer.refusal for answer in answers if answer.finish_reason == "refused"}
    assert len(refusals) == 1
    assert "HTTP 400: " in str(refusals)
    assert "blocked by policy" in str(refusals)
    assert len(answers) == 60

    before = censor.asked.total()
    again, error, usage = filled(opened(censor), tmp_path, texts)
    assert (len(again), error, usage.requests, usage.reused) == (60, None, 0, 60)
    assert censor.asked.total() == before


def test_a_server_that_refuses_everything_is_one_error_and_nothing_is_logged(
    censor: Censor, tmp_path: Path
) -> None:
    censor.refused_texts = ["max_tokens"]

    answers, error, _ = filled(opened(censor), tmp_path, ["Which city?"] * 200)

    assert answers == []
    assert isinstance(error, PermanentError)
    assert "blocked by policy" in str(error)
    assert "it refuses other requests of this kind, too" in str(error)


def test_a_server_that_refuses_every_text_but_the_harmless_one_is_an_error(
    censor: Censor, tmp_path: Path
) -> None:
    censor.refused_texts = ["Which city?"]

    answers, error, _ = filled(opened(censor), tmp_path, ["Which city?"] * 200)

    assert len(answers) < MOST_IN_A_ROW
    assert isinstance(error, PermanentError)


def test_while_the_server_is_busy_a_refusal_blames_nobody(odd: OddServer) -> None:
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    odd.answers[CHAT] = [
        reply(BLOCKED, "400 Bad Request"), reply({}, "429 Too Many Requests"),
    ]  # fmt: skip
    teacher.submit(request(teacher, 0))
    (failed,) = teacher.poll()

    assert not isinstance(failed, Completion)
    assert isinstance(failed.error, TransientError)
    assert "blocked by policy" in str(failed.error)
    assert "HTTP 429" in str(failed.error)


def test_a_trial_keeps_the_fields_of_a_request_and_none_of_its_texts() -> None:
    body = {
        "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}],
        "max_tokens": 512, "response_format": {"type": "json_object"},
    }  # fmt: skip

    assert servers.without_text(body) == {
        "messages": [{"role": "system", "content": "Why?"}, {"role": "user", "content": "Why?"}],
        "max_tokens": 16, "response_format": {"type": "json_object"},
    }  # fmt: skip
    assert servers.without_text({"text_1": "a", "text_2": "b"}) == {
        "text_1": "Why?", "text_2": "Why?",
    }  # fmt: skip


# The verdicts, without a server


async def _never() -> bool:
    raise AssertionError("an answer decides before a trial does")


async def _yes() -> bool:
    return True


async def _busy() -> bool:
    raise TemporaryError("busy", "wait")


def test_the_next_answer_of_its_form_decides_a_refusal() -> None:
    async def verdicts() -> list[bool]:
        refusals = Blame()
        held = [
            asyncio.ensure_future(refusals.is_own("judge v1", _never, is_alone=False))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        refusals.answered("writer v1")
        await asyncio.sleep(0.01)
        assert not any(each.done() for each in held)
        refusals.answered("judge v1")
        return await asyncio.gather(*held)

    assert asyncio.run(verdicts()) == [True] * 3


def test_refusals_in_a_row_are_the_servers_whatever_a_trial_says() -> None:
    async def verdicts() -> list[bool]:
        refusals = Blame()
        return [
            await refusals.is_own("writer v1", _yes, is_alone=True) for _ in range(MOST_IN_A_ROW)
        ]

    assert asyncio.run(verdicts()) == [True] * (MOST_IN_A_ROW - 1) + [False]


def test_without_an_answer_for_a_while_one_trial_decides_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blame, "PATIENCE_SECONDS", 0.05)
    trials = 0

    async def trial() -> bool:
        nonlocal trials
        trials += 1
        await asyncio.sleep(0.05)
        return True

    async def verdicts() -> list[bool]:
        refusals = Blame()
        return await asyncio.gather(
            *(refusals.is_own("writer v1", trial, is_alone=False) for _ in range(5))
        )

    assert asyncio.run(verdicts()) == [True] * 5
    assert trials == 1


def test_a_trial_that_fails_for_now_decides_nothing() -> None:
    with pytest.raises(TemporaryError, match="busy"):
        asyncio.run(Blame().is_own("writer v1", _busy, is_alone=True))
