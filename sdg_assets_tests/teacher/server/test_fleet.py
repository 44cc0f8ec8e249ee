"""Several servers as one teacher: spread, kept together, lost, regained."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from sdg_assets.errors import PermanentError, TeacherError, TeacherGoneError
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets.teacher import open_teacher
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    Message,
    Request,
)
from sdg_assets.teacher.server import fleet
from sdg_assets.teacher.server import server as servers
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.odd_server import CHAT
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server


class Member(TeacherServer):
    """One server of several, with faults on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.005
        self.dies_after: int | None = None
        """Number of answers after which it drops every connection, requests under way included."""
        self.busy = 0
        """Number of requests that it refuses because it has too many."""
        self.failing = 0
        """Number of requests that it answers with HTTP 503."""
        self.is_frozen = False
        """Whether it answers everything but completions."""
        self.headers: list[str] = []
        """The `Authorization` of each request."""

        self.delivered: Counter[str] = Counter()
        """Number of answers by question, each counted before it is sent."""
        self._granted = 0
        self._lock = threading.Lock()

    @property
    def is_dead(self) -> bool:
        return self.dies_after is not None and self._granted >= self.dies_after

    def intercepts(self, handler: BaseHTTPRequestHandler) -> bool:
        self.headers.append(handler.headers.get("Authorization", ""))
        if self.is_dead:
            handler.close_connection = True
            return True
        if handler.path == CHAT and self.failing:
            self.failing -= 1
            handler.send_response(503)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return True
        if handler.path == CHAT and self.busy:
            self.busy -= 1
            handler.send_response(429)
            handler.send_header("Retry-After", "0.2")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return True
        return False

    def admits(self) -> bool:
        self.over.wait(60 if self.is_frozen else self.seconds)
        with self._lock:
            if self.is_dead or self.is_frozen:
                return False
            self._granted += 1
            return True

    def complete(self, body: dict[str, Any]) -> str:
        with self._lock:
            self.delivered[body["messages"][0]["content"]] += 1
        return "Oslo"

    @property
    def answers(self) -> int:
        """Number of answers."""
        return sum(self.delivered.values())

    def answers_to(self, beginning: str) -> int:
        """Number of answers to questions with this first word."""
        return sum(n for text, n in self.delivered.items() if text.split()[0] == beginning)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.005)


@pytest.fixture
def members() -> Iterator[list[Member]]:
    with ExitStack() as stack:
        yield [stack.enter_context(teacher_server(Member())) for _ in range(4)]


def opened(members: list[Member], **values: Any) -> EndpointTeacher:
    return EndpointTeacher(TeacherSpec(",".join(member.url for member in members), **values))


def request(teacher: EndpointTeacher, text: str) -> Request:
    message = Message(role="user", content=text)
    return request_of(teacher.identity, [message])


def outcomes(teacher: EndpointTeacher, *texts: str) -> list[Completion | FailedRequest]:
    """The outcomes of requests that are under way together."""
    for text in texts:
        teacher.submit(request(teacher, text))
    finished: list[Completion | FailedRequest] = []
    while polled := teacher.poll():
        finished += polled
    return finished


def answered(members: list[Member]) -> Counter[str]:
    """Each request that was answered → how often, by all servers together."""
    return sum((member.delivered for member in members), Counter())


def assert_answers_in_the_end(member: Member, teacher: EndpointTeacher) -> None:
    """Asserts that a server that refused or was lost gets requests again, and answers them."""
    for batch in range(500):
        if member.answers:
            return
        outcomes(teacher, *(f"again{batch}-{number} Why?" for number in range(40)))
    raise AssertionError("20,000 requests passed it by")


def test_a_dead_a_slow_and_a_busy_server_cost_time_and_no_answer(members: list[Member]) -> None:
    dying, slow, busy, _ = members
    dying.dies_after, slow.seconds, busy.busy = 5, 0.3, 10
    teacher = opened(members)

    finished = outcomes(teacher, *(f"q{number} Why?" for number in range(200)))

    assert [type(outcome) for outcome in finished] == [Completion] * 200
    assert len({outcome.request_id for outcome in finished}) == 200
    assert set(answered(members).values()) == {1}, "what was answered is never asked again"
    assert sum(answered(members).values()) == 200
    assert dying.answers == 5
    assert busy.busy < 10, "it was asked"
    assert_answers_in_the_end(busy, teacher)
    assert busy.busy == 0, "it rested as often as it refused"


def test_requests_with_one_beginning_go_to_one_server(members: list[Member]) -> None:
    teacher = opened(members)
    beginnings = [f"anchor{number}" for number in range(12)]

    for beginning in beginnings:
        text = beginning + " long" * 200
        assert len(outcomes(teacher, *(f"{text} {vote}" for vote in range(5)))) == 5

    homes = [[m for m in members if m.answers_to(beginning)] for beginning in beginnings]
    assert [len(home) for home in homes] == [1] * 12
    assert len({home[0].url for home in homes}) > 1


def test_one_beginning_does_not_overload_its_server(members: list[Member]) -> None:
    teacher = opened(members)

    finished = outcomes(teacher, *("same" + " long" * 200 + f" {n}" for n in range(200)))

    assert len(finished) == 200
    assert max(member.answers_to("same") for member in members) < 120
    assert all(member.answers_to("same") for member in members)


def test_a_slow_server_gets_fewer_requests(members: list[Member]) -> None:
    slow, *fast = members
    slow.seconds = 1.0  # on a busy machine the others take up to 0.3 s
    teacher = opened(members)

    for batch in range(4):
        outcomes(teacher, *(f"q{batch}-{number} Why?" for number in range(120)))

    assert slow.answers < min(m.answers for m in fast) * 0.8


def test_a_lost_server_comes_back(members: list[Member], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "FIRST_PROBE_SECONDS", 0.02)
    teacher = opened(members)
    absent = members[0]
    absent.dies_after = 0
    outcomes(teacher, *(f"q{number} Why?" for number in range(40)))
    assert absent.answers == 0
    assert [server.is_lost for server in teacher.fleet.servers] == [True, False, False, False]

    absent.dies_after = None
    assert_answers_in_the_end(absent, teacher)

    assert set(answered(members).values()) == {1}


def test_a_server_that_comes_back_with_another_model_is_not_asked_again(
    members: list[Member],
) -> None:
    only = members[0]
    teacher = opened([only], concurrency=1)
    outcomes(teacher, "Why?")
    only.failing, only.model = 2, "scripted/other"  # its pod is replaced

    finished = outcomes(teacher, *(f"q{number} Why?" for number in range(20)))

    assert only.answers == 1, "no row may name a model that did not write it"
    for failed in finished:
        assert isinstance(failed, FailedRequest)
        assert isinstance(failed.error, TeacherGoneError)
        assert re.search("serves scripted/other .*now, after scripted/one", str(failed.error))


def test_a_server_that_changes_its_model_while_nobody_asks_it_is_not_asked_again(
    members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "UNHEARD_SECONDS", 1.0)
    only = members[0]
    teacher = opened([only])
    outcomes(teacher, "Why?")
    opened_before = only.opened
    only.over.wait(1.3)  # a partition is published
    outcomes(teacher, *(f"q{number} Why?" for number in range(20)))
    assert only.opened == opened_before + 1, "it is asked once which model it serves"

    only.model = "scripted/other"  # its pod is replaced, and no request notices
    only.over.wait(1.3)
    (failed,) = outcomes(teacher, "And why?")

    assert isinstance(failed, FailedRequest)
    assert "serves scripted/other" in str(failed.error)
    assert only.answers == 21


def test_a_server_that_comes_back_with_the_same_model_is_asked_for_it_once(
    members: list[Member],
) -> None:
    only = members[0]
    teacher = opened([only])
    only.failing = 2

    finished = outcomes(teacher, *(f"q{number} Why?" for number in range(20)))

    assert [type(outcome) for outcome in finished] == [Completion] * 20
    assert only.opened <= 1 + 2


def test_a_frozen_servers_requests_go_to_the_others(members: list[Member]) -> None:
    teacher = opened(members[:2], stalled_seconds=2.0)
    members[0].is_frozen = True

    finished = outcomes(teacher, *(f"q{number} Why?" for number in range(40)))

    assert [o for o in finished if isinstance(o, FailedRequest)] == []
    assert members[1].answers == 40


def test_a_teacher_is_gone_when_all_its_servers_are(members: list[Member]) -> None:
    teacher = opened(members)
    outcomes(teacher, "Why?")
    for member in members:
        member.dies_after = 0

    finished = outcomes(teacher, *(f"q{number} Why?" for number in range(20)))

    assert len(finished) == 20
    for failed in finished:
        assert isinstance(failed, FailedRequest)
        assert isinstance(failed.error, TeacherGoneError)
    assert teacher.fleet.gone


def test_a_server_that_is_down_at_the_beginning_is_done_without(members: list[Member]) -> None:
    members[0].dies_after = 0

    teacher = opened(members)

    assert len(outcomes(teacher, *(f"q{number} Why?" for number in range(20)))) == 20
    assert sum(answered(members).values()) == 20


def test_servers_of_different_models_are_refused_in_one_sentence(members: list[Member]) -> None:
    members[2].model = "scripted/other"

    with pytest.raises(TeacherError, match="must serve the same model") as caught:
        opened(members)

    assert members[2].url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_server_gets_its_own_password_and_nobody_else_sees_it(
    members: list[Member], configure: Configure
) -> None:
    first, second, third, _ = members
    urls = [first.url, second.url.replace("://", "://me:s3cr,et@"), third.url]
    configure(teacher=",".join(urls).replace(first.url, first.url.replace("://", "://you:geheim@")))

    teacher = open_teacher(settings(), Role.SOLVER)

    assert isinstance(teacher, EndpointTeacher)
    assert settings().teacher == ",".join(m.url for m in (first, second, third))
    outcomes(teacher, *(f"q{number} Why?" for number in range(60)))
    sent = [set(member.headers) for member in (first, second, third)]
    assert sent == [{"Basic eW91OmdlaGVpbQ=="}, {"Basic bWU6czNjcixldA=="}, {""}]
    texts = [repr(settings()), settings().model_dump_json(), repr(teacher.identity)]
    texts += [repr(TeacherSpec.of(settings(), Role.SOLVER)), teacher.fleet.name]
    assert not [text for text in texts if "s3cr" in text or "geheim" in text]


@pytest.mark.parametrize(
    "name", ["http://a:1,http://a:1", "http://me:s3cret@a:1,me:s3cret@b:2", "me:s3cret@b,http://a"]
)
def test_a_list_that_is_none_is_refused_without_its_secret(name: str, configure: Configure) -> None:
    configure(teacher=name)

    with pytest.raises(PermanentError, match="SDG_TEACHER") as caught:
        settings()

    assert "s3cret" not in str(caught.value)


def test_a_word_among_the_addresses_is_refused() -> None:
    with pytest.raises(TeacherError, match="several servers are http://a,http://b"):
        EndpointTeacher(TeacherSpec("http://a:1,b:2"))
