"""Every answer of a server becomes a completion, or an error of one line that describes it."""

from __future__ import annotations

import json
import os
import re
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from sdg_assets.errors import PermanentError, TeacherGoneError, TransientError
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher
from sdg_assets.teacher.backends.reward import RewardTeacher
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    Message,
    Request,
)
from sdg_assets.teacher.server import server as servers
from sdg_assets.teacher.server.fleet import ATTEMPTS
from sdg_assets_tests.support.odd_server import (
    CHAT,
    GOOD,
    HEALTH,
    LISTED,
    OddServer,
    but,
    choice,
    http,
    odd_server,
    reply,
    zipped,
)
from sdg_assets_tests.support.requests import request_of

PAGE = "<!DOCTYPE html><html><body>Please log in</body></html>"
DEEP = "[" * 100_000

# Answer → words of the error. Permanent: the request is sent once.
LASTING: dict[str, tuple[bytes, str]] = {
    "a web page": (http(PAGE, Content_Type="text/html"), "a web page instead of JSON"),
    "a page with white space before it": (http(f"\n\n  {PAGE}"), "a web page instead of JSON"),
    "no content": (http("", "204 No Content"), "HTTP 204, without content"),
    "reset content": (http("", "205 Reset Content"), "HTTP 205, without content"),
    "moved": (http("", "301 Moved", Location="https://other/"), "HTTP 301 to https://other/"),
    "found": (http("", "302 Found", Location="/login"), "HTTP 302 to /login"),
    "see other": (http("", "303 See Other", Location="/x"), "HTTP 303 to /x"),
    "not modified": (http("", "304 Not Modified"), "HTTP 304 to nowhere"),
    "a redirect that keeps the method": (http("", "307 T", Location="/y"), "HTTP 307 to /y"),
    "a redirect without a target": (http("", "308 Permanent"), "HTTP 308 to nowhere"),
    "bad request": (reply({"error": "too long"}, "400 Bad Request"), "HTTP 400: .*too long"),
    "bad request as a page": (http(PAGE, "400 Bad Request"), "HTTP 400: <!DOCTYPE"),
    "no key": (reply({}, "401 Unauthorized"), "access refused .HTTP 401"),
    "forbidden": (http("", "403 Forbidden"), "access refused .HTTP 403"),
    "no such model": (reply({"message": "no model"}, "404 Not Found"), "HTTP 404: .*no model"),
    "wrong method": (http("", "405 Method Not Allowed"), "HTTP 405"),
    "gone": (http("", "410 Gone"), "HTTP 410"),
    "too large": (http("", "413 Content Too Large"), "HTTP 413"),
    "unprocessable": (reply({"detail": []}, "422 Unprocessable"), "HTTP 422"),
    "not implemented": (http("", "501 Not Implemented"), "HTTP 501"),
    "network login": (http(PAGE, "511 Network Authentication Required"), "HTTP 511"),
    "a list": (reply([GOOD]), "a JSON list, not an object"),
    "a text": (reply("red"), "a JSON str, not an object"),
    "a number": (reply(42), "a JSON int, not an object"),
    "null": (reply(None), "a JSON NoneType, not an object"),
    "true": (reply(True), "a JSON bool, not an object"),
    "an empty object": (reply({}), "choices: Field required"),
    "no choices": (reply(but(choices=[])), "choices: List should have at least 1"),
    "choices are null": (http(json.dumps({**GOOD, "choices": None})), "choices: Input should be"),
    "choices are a text": (reply(but(choices="red")), "choices: Input should be a valid list"),
    "choices are an object": (reply(but(choices={"0": {}})), "choices: Input should be a valid"),
    "a choice is null": (reply(but(choices=[None])), r"choices\.0: Input should be"),
    "a choice is a text": (reply(but(choices=["red"])), r"choices\.0: Input should be"),
    "a choice without a message": (
        reply(but(choices=[{"finish_reason": "stop"}])), r"choices\.0\.message: Field required",
    ),
    "the answer of the older API": (
        reply(but(choices=[{"text": "red", "finish_reason": "stop"}])), "message: Field required",
    ),
    "a message is null": (reply(choice(message=None)), r"choices\.0\.message: Input should be"),
    "a message is a text": (reply(choice(message="red")), r"choices\.0\.message: Input should"),
    "content is a number": (reply(choice(message={"content": 7})), "content: Input should be"),
    "content is parts": (
        reply(choice(message={"content": [{"type": "text", "text": "red"}]})), "content: Input",
    ),
    "the end is a number": (reply(choice(finish_reason=1)), "finish_reason: Input should be"),
    "the end is a call": (
        reply(choice(finish_reason="tool_calls")), "finish_reason 'tool_calls', so it is no text",
    ),
    "the end is a loop": (
        reply(choice(finish_reason="repetition")), "finish_reason 'repetition', so it is no text",
    ),
    "no usage": (reply(but(usage=None)), "usage: Field required"),
    "usage is null": (http(json.dumps({**GOOD, "usage": None})), "usage: Input should be"),
    "usage is empty": (reply(but(usage={})), r"usage\.\w+: Field required"),
    "usage counts no output": (
        reply(but(usage={"prompt_tokens": 9})), r"usage\.completion_tokens: Field required",
    ),
    "usage is a text": (reply(but(usage="9")), "usage: Input should be"),
    "tokens are a word": (
        reply(but(usage={"prompt_tokens": "nine", "completion_tokens": 1})), "prompt_tokens: Input",
    ),
    "tokens are negative": (
        reply(but(usage={"prompt_tokens": -9, "completion_tokens": 1})), "prompt_tokens: Input",
    ),
    "tokens are half": (
        reply(but(usage={"prompt_tokens": 9, "completion_tokens": 0.5})), "completion_tokens",
    ),
    "details are a list": (
        reply(but(usage={**GOOD["usage"], "prompt_tokens_details": [1]})), "prompt_tokens_details",
    ),
    "an error with success": (
        reply({"error": {"message": "no such model", "code": 404}}), "error in it .no such model",
    ),
    "vLLM's error with success": (
        reply({"object": "error", "message": "too long", "code": 400}), "error in it .too long",
    ),
    "too deep": (http(DEEP), "nested too deeply|broken JSON"),
}  # fmt: skip

OF_ONE_REQUEST = {
    "bad request", "bad request as a page", "too large", "unprocessable", "the end is a call",
    "the end is a loop", "vLLM's error with success", "internal error", "an error of no kind",
}  # fmt: skip
"""Answers that a server may give to one request and not to others. Before they count as an error
of the server, it is asked for something harmless."""

# Answer → words of the error. Temporary: the request is sent until the attempts are used up.
PASSING: dict[str, tuple[bytes, str]] = {
    "an empty body": (http(""), "an empty body"),
    "white space": (http(" \n "), "an empty body"),
    "half of a JSON": (http(json.dumps(GOOD)[:40]), "broken JSON"),
    "two JSONs": (http(json.dumps(GOOD) * 2), "broken JSON"),
    "words": (http("upstream connect error"), "broken JSON .*upstream connect error"),
    "a number too large to be read": (http('{"n": ' + "9" * 5000 + "}"), "broken JSON"),
    "bad UTF-8": (http(b'{"choices": "\xff\xfe"}'), "no UTF-8"),
    "UTF-16": (http(json.dumps(GOOD).encode("utf-16")), "no UTF-8"),
    "bad gzip": (http(b"no gzip", Content_Encoding="gzip"), "cannot be decompressed"),
    "half a gzip": (
        http(zipped(GOOD).partition(b"\r\n\r\n")[2][:30], Content_Encoding="gzip"),
        "cannot be decompressed|empty body|broken JSON",
    ),
    "timed out": (http("", "408 Request Timeout"), "HTTP 408"),
    "conflict": (http("", "409 Conflict"), "HTTP 409"),
    "too early": (http("", "425 Too Early"), "HTTP 425"),
    "internal error": (http(PAGE, "500 Internal Server Error"), "HTTP 500"),
    "bad gateway": (http(PAGE, "502 Bad Gateway"), "HTTP 502"),
    "unavailable": (http("", "503 Service Unavailable"), "HTTP 503"),
    "gateway timed out": (http("", "504 Gateway Timeout"), "HTTP 504"),
    "a proxy's own status": (http("", "520 Unknown Error"), "HTTP 520"),
    "overloaded": (http("", "529 Overloaded"), "HTTP 529"),
    "an error with success": (
        reply({"error": {"message": "overloaded", "code": 503}}), "error in it .overloaded",
    ),
    "an error of no kind": (reply({"error": "CUDA error"}), "error in it .CUDA error"),
    "no end": (reply(choice(finish_reason=None)), "finish_reason of null"),
    "an end that is left out": (
        reply(but(choices=[{"message": {"content": "re"}}])), "finish_reason of null",
    ),
    "an abort": (reply(choice(finish_reason="abort")), "finish_reason of abort"),
    "a broken status line": (b"HTTP/1.1 OK fine\r\n\r\n", "its answer is no HTTP"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", "its answer is no HTTP"),
    "nothing": (b"", "the connection was closed before an answer"),
    "less than was promised": (
        b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"choices"', "its answer broke off",
    ),
    "a broken chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}", "(broke off|is no HTTP)",
    ),
}  # fmt: skip

# Odd answers that can be read.
READABLE: dict[str, tuple[bytes, str, str]] = {
    "compressed": (zipped(GOOD), "red", "stop"),
    "a byte order mark": (http(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()), "red", "stop"),
    "more than was asked": (reply(but(extra={"a": 1}, id="x")), "red", "stop"),
    "another type of content": (http(json.dumps(GOOD), Content_Type="text/plain"), "red", "stop"),
    "no thought was finished": (
        reply(choice(message={"content": None}, finish_reason="length")), "", "length",
    ),
    "no content": (reply(choice(message={"role": "assistant"})), "", "stop"),
    "a filter": (
        reply(choice(message={"content": ""}, finish_reason="content_filter")),
        "", "content_filter",
    ),
    "half a character": (
        reply(choice(message={"content": "a \ud83d b"})), "a \ufffd b", "stop",
    ),
    "an end of sequence": (reply(choice(finish_reason="eos_token")), "red", "stop"),
    "no details": (
        reply(but(usage={**GOOD["usage"], "prompt_tokens_details": {}})), "red", "stop",
    ),
    "accepted": (reply(GOOD, "202 Accepted"), "red", "stop"),
    "a status of its own": (reply(GOOD, "299 Odd but successful"), "red", "stop"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.0005)


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


def request(teacher: EndpointTeacher) -> Request:
    messages = [Message(role="user", content="Q"), Message(role="assistant", content="A")]
    return request_of(teacher.identity, messages)


def outcome(teacher: EndpointTeacher) -> Completion | FailedRequest:
    teacher.submit(request(teacher))
    (outcome,) = teacher.poll()
    return outcome


def sentence(error: Exception, kind: type[Exception], url: str) -> str:
    """The error's message. It must have this type, be one line, and name the server."""
    assert type(error).__module__ == "sdg_assets.errors", repr(error)
    assert isinstance(error, kind), repr(error)
    text = str(error)
    assert text.startswith(f"teacher {url}")
    assert "\n" not in text
    assert len(text) < 700
    return text


def test_the_odd_answers_are_many() -> None:
    assert len(LASTING) + len(PASSING) + len(READABLE) >= 67


@pytest.mark.parametrize("what", LASTING)
def test_what_will_not_change_is_told_at_once(what: str, odd: OddServer) -> None:
    answer, words = LASTING[what]
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    odd.answers[CHAT], odd.stubborn = [answer], True

    failed = outcome(teacher)

    assert isinstance(failed, FailedRequest)
    text = sentence(failed.error, PermanentError, odd.url)
    assert re.search(words, text), text
    assert odd.requests(CHAT) == 1 + (what in OF_ONE_REQUEST)
    assert ("it refuses other requests of this kind, too" in text) == (what in OF_ONE_REQUEST)


@pytest.mark.parametrize("what", PASSING)
def test_what_may_pass_is_asked_again_and_told_if_it_stays(what: str, odd: OddServer) -> None:
    answer, words = PASSING[what]
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    odd.answers[CHAT] = [answer]

    assert isinstance(outcome(teacher), Completion)
    assert odd.requests(CHAT) == 2

    odd.answers[CHAT], odd.stubborn = [answer], True
    failed = outcome(teacher)

    assert isinstance(failed, FailedRequest)
    text = sentence(failed.error, TransientError, odd.url)
    assert not isinstance(failed.error, TeacherGoneError)  # its health check succeeds
    assert re.search(words, text), text
    assert odd.requests(CHAT) == 2 + ATTEMPTS + (what in OF_ONE_REQUEST)


@pytest.mark.parametrize("what", sorted(OF_ONE_REQUEST))
def test_what_one_request_alone_meets_is_its_own_outcome(what: str, odd: OddServer) -> None:
    answer, words = {**LASTING, **PASSING}[what]
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    odd.answers[CHAT] = [answer] * (ATTEMPTS if what in PASSING else 1)

    completion = outcome(teacher)

    assert isinstance(completion, Completion)
    assert (completion.finish_reason, completion.text) == ("refused", "")
    assert re.search(words, completion.refusal), completion.refusal


@pytest.mark.parametrize("what", READABLE)
def test_what_is_only_odd_is_read(what: str, odd: OddServer) -> None:
    answer, text, reason = READABLE[what]
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    odd.answers[CHAT] = [answer]

    completion = outcome(teacher)

    assert isinstance(completion, Completion)
    assert (completion.text, completion.finish_reason) == (text, reason)


@pytest.mark.parametrize(
    "models",
    [
        {}, {"data": []}, {"data": None}, {"data": "m"}, {"data": [{}]}, {"data": [{"id": ""}]},
        {"data": [{"id": 5}]}, {"data": [{"id": "m", "max_model_len": -1}]},
        {"data": [{"id": "m", "max_model_len": "long"}]}, [], "models", {"error": {"code": 400}},
    ],
    ids=str,
)  # fmt: skip
def test_a_list_of_models_that_is_none_is_told(models: object, odd: OddServer) -> None:
    odd.answers[LISTED] = [reply(models)]

    with pytest.raises(PermanentError) as caught:
        EndpointTeacher(TeacherSpec(odd.url))

    assert "/v1/models" in sentence(caught.value, PermanentError, odd.url)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http("", "403 Forbidden"), PermanentError),
        (http("", "301 Moved", Location="https://u:secret@other/"), PermanentError),
        (http("", "503 Service Unavailable"), TransientError),
        (b"SSH-2.0-OpenSSH_9.6\r\n", TransientError),
    ],
    ids=["no access", "moved", "not ready", "another protocol"],
)
def test_a_health_check_that_fails_is_told(
    answer: bytes, kind: type[Exception], odd: OddServer
) -> None:
    odd.answers[HEALTH], odd.stubborn = [answer], True

    with pytest.raises(kind) as caught:
        EndpointTeacher(TeacherSpec(odd.url))

    assert "/health" in sentence(caught.value, kind, odd.url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({}, PermanentError),
        ({"data": []}, PermanentError),
        ({"data": [{}]}, PermanentError),
        ({"data": [{"probs": []}]}, PermanentError),
        ({"data": [{"probs": ["high"]}]}, PermanentError),
        ({"data": [{"probs": [float("nan")]}]}, PermanentError),
        ({"data": [{"probs": [1.0, 2.0, 3.0]}]}, PermanentError),
        ({"data": [{"probs": [1.0]}], "usage": {"prompt_tokens": -1}}, PermanentError),
        ({"error": "overloaded"}, TransientError),
    ],
    ids=str,
)
def test_an_odd_score_is_told(answer: Any, kind: type[Exception], odd: OddServer) -> None:
    teacher = RewardTeacher(TeacherSpec(odd.url, "reward"))
    odd.answers["/classify"], odd.stubborn = [reply(answer)], True

    failed = outcome(teacher)

    assert isinstance(failed, FailedRequest)
    assert isinstance(failed.error, kind)
    assert str(failed.error).startswith("teacher ")
    assert "\n" not in str(failed.error)


@pytest.mark.parametrize(
    "url",
    [
        "http://[::bad", "http://", "https://?", "http://host:port", "http://host:99999",
        "http://user:SECRET@[::bad", "http://user:SEC/RET@host:port", "http://a b/",
        "http://host/v1?key=SECRET", "http://\u202ehost",
    ],
)  # fmt: skip
def test_what_is_no_address_is_told_without_its_secret(url: str) -> None:
    with pytest.raises(PermanentError, match="not the address of a server") as caught:
        EndpointTeacher(TeacherSpec(url))

    assert "SEC" not in "".join(traceback.format_exception(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-geheim\nX-Other: 1", "sk-gehéim", "sk-geheim\x00"])
def test_a_key_that_fits_into_no_header_is_told_and_not_shown(
    key: str, odd: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", {**os.environ, "SDG_API_KEY": key})

    with pytest.raises(PermanentError, match="SDG_API_KEY holds characters") as caught:
        EndpointTeacher(TeacherSpec(odd.url))

    assert "geh" not in "".join(traceback.format_exception(caught.value))
