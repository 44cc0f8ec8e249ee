"""A server that is busy, frozen, very slow or gone, and passwords that must stay hidden."""

from __future__ import annotations

import asyncio
import base64
import gc
import re
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler

import pytest

from sdg_assets.addresses import masked, split_credentials
from sdg_assets.errors import PermanentError, TeacherGoneError, TransientError
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets.teacher import open_teacher
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import BACKEND, EndpointTeacher
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    Message,
    Request,
    Sampling,
    build_request,
)
from sdg_assets.teacher.server import refusals, room
from sdg_assets.teacher.server import server as servers
from sdg_assets.teacher.server.background import run
from sdg_assets.teacher.server.progress import tokens_in, waiting_in
from sdg_assets.teacher.server.refusals import retry_after
from sdg_assets.teacher.server.replies import TokenCount
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.odd_server import (
    CHAT,
    HEALTH,
    OddServer,
    http,
    odd_server,
    reply,
)
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


def request(teacher: EndpointTeacher, number: int = 0) -> Request:
    messages = [Message(role="user", content="Name a colour.")]
    return request_of(teacher.identity, messages, Sampling(sample=number))


def outcome(teacher: EndpointTeacher) -> Completion | FailedRequest:
    teacher.submit(request(teacher))
    (outcome,) = teacher.poll()
    return outcome


def error(teacher: EndpointTeacher) -> Exception:
    failed = outcome(teacher)
    assert isinstance(failed, FailedRequest)
    return failed.error


# Busy


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_a_server_is_left_alone_for_as_long_as_it_asks(
    status: str, odd: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.0005)
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    odd.answers[CHAT] = [http("", status, Retry_After="0.7")]

    assert isinstance(outcome(teacher), Completion)

    first, second = odd.times(CHAT)
    assert second - first >= 0.7


def test_a_server_asks_for_rest_in_seconds_or_by_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    assert retry_after("120") == 120
    assert 80 < retry_after(date) <= 90
    assert [retry_after(wish) for wish in ("soon", "-5", "", "nan")] == [0, 0, 0, 0]


def test_a_server_that_wants_an_hour_of_rest_is_given_up_for_now(odd: OddServer) -> None:
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    odd.answers[CHAT] = [http("", "429 Too Many Requests", Retry_After="3600")]

    failed = error(teacher)

    assert isinstance(failed, TransientError)
    assert "it asks to wait 3600 s" in str(failed)
    assert isinstance(error(teacher), TransientError), "nor is it asked by another request"
    assert odd.requests(CHAT) == 1


def test_a_server_whose_room_others_hold_is_asked_until_it_has_room(
    odd: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.0005)
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    odd.answers[CHAT] = [http("queue full", "429 Too Many Requests")] * 40

    assert isinstance(outcome(teacher), Completion)
    assert odd.requests(CHAT) == 41


def test_a_server_that_stays_busy_is_given_up_with_advice(
    odd: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.0005)
    teacher = EndpointTeacher(TeacherSpec(odd.url, stalled_seconds=0.5))
    odd.answers[CHAT], odd.stubborn = [http("queue full", "429 Too Many Requests")], True

    failed = error(teacher)

    assert isinstance(failed, TransientError)
    assert not isinstance(failed, TeacherGoneError)  # its health check succeeds
    assert "HTTP 429: queue full" in str(failed)
    assert "lower SDG_CONCURRENCY" in str(failed)


class Slots(TeacherServer):
    """A server with few slots, like llama.cpp's."""

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.slots = threading.Semaphore(slots)
        self.swallows = False
        """Whether the next request gets no answer for ever, as if a router had lost it."""

    def admits(self) -> bool:
        if self.swallows:
            self.swallows = False
            self.over.wait(60)
            return False
        with self.slots:
            self.over.wait(0.05)
        return True


def test_requests_that_wait_in_a_slow_servers_queue_are_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers, "LONGEST_ANSWER_SECONDS", 2.0)  # of 3 in all
    with teacher_server(Slots(2)) as server:
        teacher = EndpointTeacher(TeacherSpec(server.url))
        for number in range(120):
            teacher.submit(request(teacher, number))

        finished = []
        while outcomes := teacher.poll():
            finished += outcomes

    assert [o.error for o in finished if isinstance(o, FailedRequest)] == []
    assert len(finished) == 120


def test_an_answer_that_later_ones_overtake_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "LONGEST_ANSWER_SECONDS", 0.2)
    with teacher_server(Slots(2)) as server:
        teacher = EndpointTeacher(TeacherSpec(server.url, concurrency=4))
        server.swallows = True
        for number in range(60):
            teacher.submit(request(teacher, number))

        finished = []
        while outcomes := teacher.poll():
            finished += outcomes

    (failed,) = (o for o in finished if isinstance(o, FailedRequest))
    assert "while later ones did" in str(failed.error)
    assert len(finished) == 60


def test_a_refusal_belongs_to_its_request(odd: OddServer) -> None:
    teacher = EndpointTeacher(TeacherSpec(odd.url, concurrency=1))
    odd.answers[CHAT] = [reply({"error": "no"}, "400 Bad Request")]
    bad, good = request(teacher, 1), request(teacher, 2)
    teacher.submit(bad)
    teacher.submit(good)

    outcomes = []
    while finished := teacher.poll():
        outcomes += finished

    ends = {o.request_id: o.finish_reason for o in outcomes if isinstance(o, Completion)}
    assert ends == {bad.id: "refused", good.id: "stop"}


# As many requests as it has room for


class Crowded(TeacherServer):
    """A server with many slots that reports its queue."""

    def __init__(self, metrics: str) -> None:
        super().__init__()
        self.metrics = metrics
        self.now = self.peak = 0
        self._lock = threading.Lock()

    def intercepts(self, handler: BaseHTTPRequestHandler) -> bool:
        if handler.path != "/metrics":
            return False
        handler.wfile.write(http(self.metrics))
        handler.close_connection = True
        return True

    def admits(self) -> bool:
        with self._lock:
            self.now += 1
            self.peak = max(self.peak, self.now)
        self.over.wait(0.05)
        with self._lock:
            self.now -= 1
        return True


@pytest.mark.parametrize(
    ("metrics", "concurrency", "grows"),
    [
        ('vllm:num_requests_waiting{engine="0"} 0.0\n', None, True),
        ('vllm:num_requests_waiting{engine="0"} 0.0\n', 4, False),
        ('vllm:num_requests_waiting{engine="0"} 9.0\n', None, False),
        ("", None, False),
    ],
)
def test_a_server_where_nothing_waits_gets_more_requests(
    metrics: str, concurrency: int | None, grows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "CAPACITY", 4)
    monkeypatch.setattr(room, "QUEUE_SECONDS", 0.05)
    with teacher_server(Crowded(metrics)) as server:
        teacher = EndpointTeacher(TeacherSpec(server.url, concurrency=concurrency))
        assert teacher.capacity == 4
        for number in range(80):
            teacher.submit(request(teacher, number))

        finished = []
        while outcomes := teacher.poll():
            finished += outcomes

    assert [type(o) for o in finished] == [Completion] * 80
    assert (server.peak > 4) == (teacher.capacity > 4) == grows


def test_the_room_doubles_until_many_requests_wait_and_grows_slowly_then() -> None:
    fitted = room.Room()
    fitted.seen(waiting=0, under_way=100)
    assert fitted.most == 256, "it was not used up"
    fitted.seen(waiting=0, under_way=250)
    assert fitted.most == 512
    fitted.seen(waiting=40, under_way=512)
    assert fitted.most == 512, "a short queue keeps the server busy"
    fitted.seen(waiting=200, under_way=512)
    assert fitted.most == 312
    fitted.seen(waiting=0, under_way=312)
    assert fitted.most == 343
    fitted.seen(waiting=2000, under_way=312)
    assert fitted.most == 256
    for _ in range(100):
        fitted.seen(waiting=0, under_way=9999)
    assert fitted.most == room.MOST


@pytest.mark.parametrize(
    ("metrics", "waiting"),
    [
        ('vllm:num_requests_waiting{engine="0"} 3.0\nvllm:num_requests_waiting{engine="1"} 4', 7),
        ('vllm:num_requests_waiting_by_reason{reason="capacity"} 3.0', None),
        ('sglang:num_queue_reqs{model_name="m"} 2.0', 2),
        ("llamacpp:requests_deferred 5", 5),
        ("vllm:generation_tokens_total 5", None),
    ],
)
def test_waiting_requests_are_counted_over_all_engines(metrics: str, waiting: float | None) -> None:
    assert waiting_in(metrics) == waiting


# Behind a proxy


def test_a_proxys_time_limit_is_named_and_paid_for_a_few_times(
    odd: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.0005)
    monkeypatch.setattr(refusals, "SHORTEST_LIMIT_SECONDS", 0.2)
    monkeypatch.setattr(refusals, "LIMIT_SPREAD", 0.9)
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    odd.slow[CHAT] = 0.4
    odd.answers[CHAT], odd.stubborn = [http("<h1>nginx", "504 Gateway Time-out")], True

    failed = error(teacher)

    assert isinstance(failed, PermanentError)
    assert re.search(r"HTTP 504: <h1>nginx, after \d s each time: a proxy before", str(failed))
    assert "raise its time limit" in str(failed)
    assert odd.requests(CHAT) == 3

    assert isinstance(error(teacher), PermanentError), "the limit is known now"
    assert odd.requests(CHAT) == 4

    odd.slow[CHAT] = 0.0
    monkeypatch.setattr(refusals, "SHORTEST_LIMIT_SECONDS", 5.0)  # a busy machine takes 0.2 s, too
    assert isinstance(error(teacher), TransientError), "a proxy that cannot reach its server"


@pytest.mark.parametrize(
    ("ages", "limit"),
    [
        ([60.1, 60.0, 60.2], 60.1),
        ([60.1, 60.0], None),
        ([60.1, 44.0, 60.2], None),
        ([0.1, 0.1, 0.1], None),
        ([], None),
    ],
)
def test_a_time_limit_shows_by_equal_ages(ages: list[float], limit: float | None) -> None:
    assert refusals.proxy_limit(ages) == pytest.approx(limit)


def test_a_request_whose_body_cannot_be_made_is_not_under_way(odd: OddServer) -> None:
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    # A message refuses half of a character, so the prompt cannot be rendered.
    prompt = build_request(teacher.identity, Role.WRITER, HalfACharacter(), {}, Sampling())

    with pytest.raises(ValueError, match="surrogate"):
        teacher.submit(prompt)

    assert teacher.waiting == 0
    assert teacher.poll(wait=False) == []
    assert isinstance(outcome(teacher), Completion)
    polled: list[object] = []
    idle = threading.Thread(target=lambda: polled.append(teacher.poll()), daemon=True)
    idle.start()
    idle.join(5)
    assert polled == [[]], "nothing is under way, so there is nothing to wait for"


class HalfACharacter:
    """A prompt with a lone surrogate, as broken JSON may hold one."""

    version = "v1"

    def render(self, **values: object) -> tuple[Message, ...]:
        return (Message(role="user", content="\ud83d"),)


def test_an_answered_request_leaves_nothing_behind(odd: OddServer) -> None:
    teacher = EndpointTeacher(TeacherSpec(odd.url, concurrency=8))
    for number in range(400):
        teacher.submit(request(teacher, number))
    while teacher.poll():
        pass

    gc.collect()
    limits = sum(type(thing) is asyncio.Timeout for thing in gc.get_objects())
    assert limits < 200, "a million requests an hour would fill the memory"


# Frozen


@pytest.mark.parametrize("drips", [None, 0.05])
def test_a_server_that_makes_no_progress_is_given_up(drips: float | None, odd: OddServer) -> None:
    teacher = EndpointTeacher(TeacherSpec(odd.url, stalled_seconds=0.4))
    if drips:
        odd.drip_seconds = drips
    else:
        odd.silent.add(CHAT)
    for number in range(3):
        teacher.submit(request(teacher, number))

    outcomes = []
    while finished := teacher.poll():
        outcomes += finished

    assert len(outcomes) == 3
    for failed in outcomes:
        assert isinstance(failed, FailedRequest)
        assert isinstance(failed.error, TeacherGoneError)
        assert "no token for" in str(failed.error)
        assert "SDG_STALLED_MINUTES" in str(failed.error)


def test_a_slow_answer_is_waited_for_while_the_server_counts_tokens(odd: OddServer) -> None:
    teacher = EndpointTeacher(TeacherSpec(odd.url, stalled_seconds=1.5))
    odd.slow[CHAT] = 3.5
    odd.answers["/metrics"] = [
        http(f'# HELP x\nvllm:generation_tokens_total{{engine="0"}} {10.0 * n}\n')
        for n in range(100)
    ]

    assert isinstance(outcome(teacher), Completion)


def test_a_server_whose_counters_stand_still_is_frozen(odd: OddServer) -> None:
    teacher = EndpointTeacher(TeacherSpec(odd.url, stalled_seconds=0.6))
    odd.slow[CHAT] = 3.0
    odd.answers["/metrics"] = [http('vllm:generation_tokens_total{engine="0"} 7\n')] * 100

    assert isinstance(error(teacher), TeacherGoneError)


@pytest.mark.parametrize(
    ("metrics", "tokens"),
    [
        ("llamacpp:prompt_tokens_total 3\nllamacpp:tokens_predicted_total 4", 7),
        ('sglang:generation_tokens_total{model_name="m"} 4', 4),
        ('vllm:prompt_tokens_total{a="b c"} 2.5e3\nvllm:generation_tokens_total 5\nother 9', 2505),
        ("other 9", None),
        ("", None),
        ("vllm:generation_tokens_total many", None),
    ],
)
def test_tokens_are_counted_as_prometheus_writes_them(metrics: str, tokens: float | None) -> None:
    assert tokens_in(metrics) == tokens


# Gone


def test_a_server_that_is_gone_fails_everything_at_once_until_it_is_back(
    odd: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.0005)
    teacher = BACKEND.open(TeacherSpec(odd.url))
    down = http("", "503 Service Unavailable")
    odd.answers, odd.stubborn = {CHAT: [down], HEALTH: [down]}, True

    assert isinstance(error(teacher), TeacherGoneError)
    requests = len(odd.heads)
    assert isinstance(error(teacher), TeacherGoneError)
    with pytest.raises(TeacherGoneError):
        run(teacher.fleet.call("/tokenize", TokenCount, {}))
    assert len(odd.heads) == requests
    with pytest.raises(TeacherGoneError):
        BACKEND.open(TeacherSpec(odd.url))

    odd.answers = {}
    again = BACKEND.open(TeacherSpec(odd.url))
    assert again is not teacher
    assert isinstance(outcome(again), Completion)
    assert BACKEND.open(TeacherSpec(odd.url)) is again


# Credentials

SECRET = "s3cr/t@:%41"
ESCAPED = "s3cr%2Ft%40:%2541"


@pytest.mark.parametrize("written", [SECRET.replace("%41", "%2541"), ESCAPED])
def test_a_password_in_an_address_is_sent_and_never_shown(
    written: str, odd: OddServer, configure: Configure
) -> None:
    configure(teacher=odd.url.replace("http://", f"http://user:{written}@") + "/v1")

    teacher = open_teacher(settings(), Role.WRITER)

    assert isinstance(teacher, EndpointTeacher)
    assert isinstance(outcome(teacher), Completion)
    wanted = base64.b64encode(f"user:{SECRET}".encode()).decode()
    assert all(f"Authorization: Basic {wanted}" in head for head in odd.heads)
    texts = [
        repr(settings()), str(settings()), settings().model_dump_json(),
        settings().teacher_of(Role.SOLVER), repr(teacher.identity), teacher.identity.data_version,
        teacher.fleet.name,
    ]  # fmt: skip
    assert not [text for text in texts if "s3cr" in text]


@pytest.mark.parametrize(
    "answer",
    [
        http("", "401 Unauthorized"),
        reply({"error": f"bad login user:{SECRET}"}, "400 Bad Request"),
        http(f"<p>{SECRET}", "200 OK"),
        http(f"no JSON {SECRET}"),
        http("", "301 Moved", Location=f"http://user:{ESCAPED}@there/"),
        b"garbage\r\n",
        http("<p>" + SECRET.rjust(204)),
        http(SECRET.rjust(204, "x")),
        reply({"error": SECRET.rjust(204, "x")}),
    ],
    ids=[
        "401",
        "400",
        "page",
        "words",
        "redirect",
        "garbage",
        "cut page",
        "cut words",
        "cut error",
    ],
)
def test_no_error_tells_the_password(
    answer: bytes, odd: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.0005)
    teacher = EndpointTeacher(TeacherSpec(odd.url.replace("http://", f"http://user:{ESCAPED}@")))
    odd.answers[CHAT], odd.stubborn = [answer], True

    text = "".join(traceback.format_exception(error(teacher)))

    assert "s3cr" not in text
    assert "teacher http://127.0.0.1" in text


@pytest.mark.parametrize("port", ["8000", "port", "99999"])
def test_a_server_that_is_not_there_does_not_tell_it_either(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.0005)

    with pytest.raises((TransientError, PermanentError)) as caught:
        EndpointTeacher(TeacherSpec(f"http://user:{SECRET}@127.0.0.1:{port}"))

    assert "s3cr" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("variable", ["teacher", "solver", "judge", "probe"])
def test_a_setting_that_is_wrong_does_not_tell_it(variable: str, configure: Configure) -> None:
    configure(**{variable: f"http://user:{SECRET}@host", "votes": 0, "judge_api": "none"})

    with pytest.raises(PermanentError) as caught:
        settings()

    assert "s3cr" not in "".join(traceback.format_exception(caught.value))


def test_a_store_with_a_secret_in_it_is_refused_without_telling_it(configure: Configure) -> None:
    configure(store="s3://key:s3cret@bucket")

    with pytest.raises(PermanentError) as caught:
        settings()

    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["user:s3cret@host:8000", "https:/user:s3cret@host"])
def test_a_teacher_with_a_password_that_is_no_address_is_refused(
    name: str, configure: Configure
) -> None:
    configure(teacher=name)

    with pytest.raises(PermanentError, match="SDG_TEACHER: write it as http") as caught:
        settings()

    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_an_address_without_a_password_stays_as_it_is() -> None:
    assert split_credentials("https://host/v1") == ("https://host/v1", None)
    assert split_credentials("org/model@main") == ("org/model@main", None)
    assert masked("hf://datasets/org/name@commit/x") == "hf://datasets/org/name@commit/x"
    assert masked("see http://u:p@h and s3://k:s@b") == "see http://***@h and s3://***@b"
