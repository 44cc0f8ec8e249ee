"""Servers of other kinds than vLLM's: what they lack, and how they say things."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.errors import TeacherError
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets.teacher import open_teacher
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    Message,
    Sampling,
)
from sdg_assets.teacher.server.refusals import is_too_long
from sdg_assets.teacher.server.words import AskedWords, GuessedWords
from sdg_assets.teacher.thinking import Thinking
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.odd_server import CHAT, OddServer, choice, odd_server, reply
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}}}
THINKING = Thinking(switch="none", default="on", parser="deepseek_r1", max_tokens=1000)
ABSENT = (404, {"detail": "Not Found"})


class Kind(TeacherServer):
    """A kind of server."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: dict[str, tuple[int, dict[str, Any]]] = {}
        """Path → status and JSON of its answer."""
        self.unknown: dict[str, str] = {}
        """Field, or type of structured output → message with which a request with it is refused."""
        self.bodies: list[dict[str, Any]] = []
        self.thought: dict[str, str] = {}

    def intercepts(self, handler: BaseHTTPRequestHandler) -> bool:
        if handler.path not in self.paths:
            return False
        status, answer = self.paths[handler.path]
        data = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
        return True

    def refusal(self, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        names = [*body, body.get("response_format", {}).get("type")]
        for name, message in self.unknown.items():
            if name in names:
                return {"error": {"message": message}}
        return {}

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"content": "red", **self.thought}


@pytest.fixture
def kind() -> Iterator[Kind]:
    with teacher_server(Kind()) as server:
        yield server


def answer(teacher: EndpointTeacher, text: str = "Name a colour.", **sampling: Any) -> Completion:
    message = Message(role="user", content=text)
    teacher.submit(request_of(teacher.identity, [message], Sampling(**sampling), SCHEMA))
    (outcome,) = teacher.poll()
    if isinstance(outcome, FailedRequest):
        raise outcome.error
    return outcome


def test_sglang_tells_length_and_thought(kind: Kind) -> None:
    models = {"data": [{"id": "org/model", "root": "org/model", "max_model_len": 32768}]}
    kind.paths = {"/v1/models": (200, models), "/tokenize": (200, {"tokens": [5], "count": 1})}
    kind.thought = {"reasoning_content": "Red is a colour indeed."}
    teacher = EndpointTeacher(TeacherSpec(kind.url))

    completion = answer(teacher)

    assert teacher.max_model_len == 32768
    assert isinstance(teacher.words, AskedWords)
    assert (completion.text, completion.reasoning) == ("red", "Red is a colour indeed.")
    assert completion.output_tokens == 6
    assert completion.reasoning_tokens == 5


def test_nim_has_neither_health_nor_tokenizer(kind: Kind) -> None:
    kind.paths = {"/health": ABSENT, "/tokenize": ABSENT, "/metrics": ABSENT}
    teacher = EndpointTeacher(TeacherSpec(kind.url))

    completion = answer(teacher, "What does <extra_id_0> mean in <b>bold</b>?")

    assert completion.text == "red"
    assert isinstance(teacher.words, GuessedWords)
    (body,) = kind.bodies
    assert body["messages"][0]["content"] == "What does < extra_id_0> mean in <b>bold</b>?"


class Forgetful(Kind):
    """Counts the tokens of one text, and refuses all others."""

    def __init__(self) -> None:
        super().__init__()
        self.counted = 0

    def intercepts(self, handler: BaseHTTPRequestHandler) -> bool:
        if handler.path == "/tokenize":
            refusal = (400, {"error": "no"})
            self.paths["/tokenize"] = refusal if self.counted else (200, {"count": 1})
            self.counted += 1
        return super().intercepts(handler)


def test_a_text_of_which_the_server_does_not_say_whether_it_controls_is_broken_up() -> None:
    with teacher_server(Forgetful()) as server:
        teacher = EndpointTeacher(TeacherSpec(server.url))
        assert isinstance(teacher.words, AskedWords)
        answer(teacher, "What does <tool> mean?")

    assert says(server.bodies[-1]) == "What does < tool> mean?"


class Slow(Kind):
    """Says whether a text is a token only after it has answered a question."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.has_answered = 0, threading.Event()

    def intercepts(self, handler: BaseHTTPRequestHandler) -> bool:
        if handler.path == "/tokenize":
            self.is_asked += 1
            is_answered = self.has_answered.wait(10)
            self.paths["/tokenize"] = (200, {"count": 1 if is_answered else 7})
        return super().intercepts(handler)

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        self.has_answered.set()
        return super().message(body)


def test_a_text_that_the_server_is_asked_about_holds_up_no_other_request() -> None:
    with teacher_server(Slow()) as server:
        server.has_answered.set()
        teacher = EndpointTeacher(TeacherSpec(server.url))
        assert isinstance(teacher.words, AskedWords)
        server.is_asked = 0
        server.has_answered.clear()

        texts = ("What is <tool>?", "Is <tool> long?", "Why?")
        for text in texts:
            message = Message(role="user", content=text)
            teacher.submit(request_of(teacher.identity, [message], Sampling(), SCHEMA))
        answered = sum(len(teacher.poll()) for _ in texts)

    assert answered == 3
    assert server.is_asked == 1
    assert says(server.bodies[0]) == "Why?"
    assert {says(body) for body in server.bodies[1:]} == {"What is < tool>?", "Is < tool> long?"}


def test_llama_cpp_tells_its_length_in_its_properties(kind: Kind) -> None:
    kind.paths = {
        "/v1/models": (200, {"data": [{"id": "model.gguf", "meta": {"n_ctx_train": 131072}}]}),
        "/props": (200, {"default_generation_settings": {"n_ctx": 6144}, "total_slots": 4}),
        "/tokenize": (200, {"tokens": [7, 9]}),
    }
    teacher = EndpointTeacher(TeacherSpec(kind.url))

    assert answer(teacher).text == "red"
    assert teacher.max_model_len == 6144
    assert isinstance(teacher.words, AskedWords)


def listing(*models: dict[str, Any]) -> dict[str, tuple[int, Any]]:
    return {"/v1/models": (200, {"data": [{"max_model_len": 8192, **model} for model in models]})}


def test_a_server_of_several_models_is_asked_for_the_one_that_its_address_names(
    kind: Kind, configure: Configure
) -> None:
    kind.paths = listing({"id": "org/small"}, {"id": "org/large", "max_model_len": 32768})

    with pytest.raises(
        TeacherError,
        match=r"has several models \(org/small, org/large\); name one after the address: "
        rf"{kind.url}#org/small$",
    ):
        EndpointTeacher(TeacherSpec(kind.url))
    with pytest.raises(TeacherError, match=r"does not list the model org/huge; it lists org/small"):
        EndpointTeacher(TeacherSpec(f"{kind.url}#org/huge"))

    configure(teacher=f"{kind.url.replace('http://', 'http://me:p#w@')}/v1#org/large")
    teacher = open_teacher(settings(), Role.WRITER)
    assert isinstance(teacher, EndpointTeacher)
    assert answer(teacher).text == "red"
    assert kind.bodies[-1]["model"] == "org/large"
    assert teacher.max_model_len == 32768
    assert teacher.identity.stamp.model == "org/large"


@pytest.mark.parametrize(
    "others",
    [
        [{"id": "mine", "parent": "org/base", "root": "/adapters/mine"}],  # a LoRA adapter
        [{"id": "alias", "root": "org/base"}],  # another name of the same weights
        [{"id": "base"}],  # the same twice, as a gateway of two servers lists it
    ],
)
def test_adapters_and_other_names_of_a_model_are_no_other_models(
    others: list[dict[str, Any]], kind: Kind
) -> None:
    kind.paths = listing({"id": "base", "root": "org/base"}, *others)

    assert EndpointTeacher(TeacherSpec(kind.url)).model == "base"
    name = others[0]["id"]
    assert EndpointTeacher(TeacherSpec(f"{kind.url}#{name}")).model == name


def test_a_length_that_no_server_tells_is_stated_or_warned_about(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    kind.paths = {"/v1/models": (200, {"data": [{"id": "model"}]}), "/props": ABSENT}

    assert EndpointTeacher(TeacherSpec(kind.url)).max_model_len == 4096
    assert "SDG_ENGINE" in caplog.text
    stated = EndpointTeacher(TeacherSpec(kind.url, engine={"max_model_len": 16384}))
    assert stated.max_model_len == 16384


def test_a_field_that_a_server_refuses_is_left_out_from_then_on(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    kind.unknown = {
        "top_k": "Unrecognized request argument supplied: top_k",
        "min_p": "body.min_p: Extra inputs are not permitted",
    }
    teacher = EndpointTeacher(TeacherSpec(kind.url))
    caplog.set_level(logging.WARNING)

    assert answer(teacher, top_k=20, min_p=0.05).text == "red"
    assert answer(teacher, "Another.", top_k=20, min_p=0.05).text == "red"

    assert [("top_k" in body, "min_p" in body) for body in kind.bodies] == [
        (True, True), (False, True), (False, False), (False, False),
    ]  # fmt: skip
    assert caplog.text.count("the server refuses top_k") == 1


def test_a_server_that_cannot_end_a_thought_is_asked_without_a_budget(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    budget = "thinking_token_budget"
    kind.unknown = {budget: f"{budget} is set but reasoning_config is not configured."}
    teacher = EndpointTeacher(TeacherSpec(kind.url))
    teacher.identity = replace(teacher.identity, thinking=THINKING)

    assert answer(teacher).text == "red"
    assert answer(teacher, "Another.").text == "red"

    assert [body.get(budget) for body in kind.bodies] == [1000, None, None]
    assert caplog.text.count(f"the server refuses {budget}") == 1
    assert "--reasoning-parser" in caplog.text


def test_a_server_samples_as_an_engine_whatever_its_model_recommends(kind: Kind) -> None:
    teacher = EndpointTeacher(TeacherSpec(kind.url))

    answer(teacher)

    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    recommended = {"top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1, "top_p": 0.8}
    asked = ChatCompletionRequest.model_validate(kind.bodies[0])
    sampled = asked.to_sampling_params(100, recommended)
    assert sampled.top_k <= 0
    assert (sampled.min_p, sampled.repetition_penalty) == (0, 1)
    assert sampled.top_p == Sampling().top_p


def test_a_server_without_schemas_is_asked_for_any_json_and_one_without_that_for_text(
    kind: Kind,
) -> None:
    kind.unknown = {
        "json_schema": "response_format.type must be one of text, json_object",
        "json_object": "response_format is not supported",
    }
    teacher = EndpointTeacher(TeacherSpec(kind.url))

    assert answer(teacher).text == "red"

    forms = [body.get("response_format", {}).get("type") for body in kind.bodies]
    assert forms == ["json_schema", "json_object", None]


def test_another_refusal_is_still_an_error(kind: Kind) -> None:
    kind.unknown = {"messages": "roles must alternate"}
    teacher = EndpointTeacher(TeacherSpec(kind.url))

    with pytest.raises(Exception, match="roles must alternate"):
        answer(teacher, top_k=20)


class Picky(Kind):
    """A server that says no to some bodies."""

    def __init__(self, refuses: Callable[[dict[str, Any]], str]) -> None:
        super().__init__()
        self.objection = refuses

    def refusal(self, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append(body)
        message = self.objection(body)
        return {"error": {"message": message}} if message else {}

    @property
    def last(self) -> dict[str, Any]:
        """The last body, without what differs from row to row."""
        return {name: value for name, value in self.bodies[-1].items() if name != "messages"}


FIELDS = {"top_k", "min_p", "repetition_penalty", "response_format"}
SAMPLED: dict[str, Any] = {"top_k": 20, "min_p": 0.05}


def says(body: dict[str, Any]) -> str:
    text: str = body["messages"][-1]["content"]
    return text


@pytest.mark.parametrize(
    "objection",
    [
        "1 validation error: {{'loc': ('body', 'messages'), 'input': {body}}}",
        "the filter refuses 'What does top_k do?'",
        "the filter refuses a text about response_format, min_p and repetition_penalty",
    ],
)
def test_an_error_about_one_row_takes_no_field_from_the_others(objection: str) -> None:
    def refuses(body: dict[str, Any]) -> str:
        return objection.format(body=body) if "forbidden" in says(body) else ""

    with teacher_server(Picky(refuses)) as picky:
        teacher = EndpointTeacher(TeacherSpec(picky.url))
        refused = answer(teacher, "A forbidden row.", **SAMPLED)
        assert refused.finish_reason == "refused"
        assert re.search(r"validation error|the filter refuses", refused.refusal)
        assert answer(teacher, "Another row.", **SAMPLED).text == "red"

    assert picky.last.keys() >= FIELDS


def test_a_field_is_found_although_the_error_repeats_the_whole_request() -> None:
    def refuses(body: dict[str, Any]) -> str:
        return f"extra_forbidden in {body}" if "repetition_penalty" in body else ""

    with teacher_server(Picky(refuses)) as picky:
        teacher = EndpointTeacher(TeacherSpec(picky.url))
        assert answer(teacher, **SAMPLED).text == "red"
        first = picky.last
        assert answer(teacher, "Another.", **SAMPLED).text == "red"

    assert FIELDS - first.keys() == {"repetition_penalty"}
    assert picky.last == first, "the first row is sampled as all others"


def test_a_schema_that_a_server_cannot_use_leaves_the_other_schemas() -> None:
    def refuses(body: dict[str, Any]) -> str:
        form = body.get("response_format", {})
        return "json_schema: unsupported pattern" if "pattern" in str(form) else ""

    def asked(schema: dict[str, Any]) -> str:
        message = Message(role="user", content="Name a colour.")
        teacher.submit(request_of(teacher.identity, [message], json_schema=schema))
        (outcome,) = teacher.poll()
        assert isinstance(outcome, Completion)
        form: str = picky.bodies[-1]["response_format"]["type"]
        return form

    odd_schema = {"type": "object", "properties": {"colour": {"pattern": r"(?<!x)"}}}
    with teacher_server(Picky(refuses)) as picky:
        teacher = EndpointTeacher(TeacherSpec(picky.url))
        assert asked(odd_schema) == "json_object"
        assert asked(SCHEMA) == "json_schema"
        assert asked(odd_schema) == "json_object"

    assert len(picky.bodies) == 4, "the odd schema is refused once"


def test_a_value_that_a_server_refuses_leaves_the_others() -> None:
    def refuses(body: dict[str, Any]) -> str:
        return "top_k must be at least 1" if body.get("top_k", 1) < 1 else ""

    with teacher_server(Picky(refuses)) as picky:
        teacher = EndpointTeacher(TeacherSpec(picky.url))
        answer(teacher, top_k=0)
        assert "top_k" not in picky.last
        answer(teacher, top_k=20)
        assert picky.last["top_k"] == 20


def test_a_field_that_a_server_refuses_with_two_values_is_left_out_with_all() -> None:
    def refuses(body: dict[str, Any]) -> str:
        return "unknown field top_k" if "top_k" in body else ""

    with teacher_server(Picky(refuses)) as picky:
        teacher = EndpointTeacher(TeacherSpec(picky.url))
        for top_k in (10, 20, 30, 40):
            answer(teacher, top_k=top_k)

    assert len(picky.bodies) == 6


def test_requests_that_are_refused_at_the_same_time_are_all_asked_again() -> None:
    arrived = threading.Semaphore(0)

    def refuses(body: dict[str, Any]) -> str:
        if "top_k" not in body:
            return ""
        if says(body) == "0":  # refused first: the others' refusals come after what it teaches
            return "unknown field top_k"
        arrived.acquire(timeout=2)
        return "unknown field top_k"

    with teacher_server(Picky(refuses)) as picky:
        teacher = EndpointTeacher(TeacherSpec(picky.url))
        for number in range(6):
            message = Message(role="user", content=str(number))
            teacher.submit(request_of(teacher.identity, [message]))
        outcomes = teacher.poll()
        arrived.release(5)
        while finished := teacher.poll():
            outcomes += finished

    assert [type(outcome) for outcome in outcomes] == [Completion] * 6


TOO_LONG = {
    "vLLM": "This model's maximum context length is 2048 tokens. However, you requested 5040 "
    "tokens (40 in the messages, 5000 in the completion).",
    "vLLM, the answer": "'max_tokens' is too large: 5000. This model's maximum context length is "
    "2048 tokens and your request has 40 input tokens.",
    "vLLM, newer": "Input length (11680) exceeds model's maximum context length (4096).",
    "vLLM 0.32, the answer alone": "max_tokens=5000 cannot be greater than max_model_len=2048. "
    "Please request fewer output tokens. (parameter=max_tokens, value=5000)",
    "vLLM, older": "max_tokens must be at least 1, got -7584.",
    "vLLM, a scoring model": "The decoder prompt (length 600) is longer than the maximum model "
    "length of 512.",
    "SGLang": "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "SGLang, the answer": "Requested token count exceeds the model's maximum context length of "
    "4096 tokens. You requested a total of 5012 tokens.",
    "NIM": "Prompt length (9000) exceeds maximum input length (8192). Set log level to info.",
    "llama.cpp": "the request exceeds the available context size, try increasing it",
    "Text Generation Inference": "Input validation error: `inputs` tokens + `max_new_tokens` must "
    "be <= 4096. Given: 4000 `inputs` tokens and 512 `max_new_tokens`",
}


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


@pytest.mark.parametrize("server", TOO_LONG)
def test_a_prompt_that_a_server_finds_too_long_is_that_rows_outcome(
    server: str, odd: OddServer
) -> None:
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    error = {"error": {"message": TOO_LONG[server], "type": "BadRequestError", "code": 400}}
    status = "422 No" if "Inference" in server else "400 Bad Request"
    odd.answers[CHAT] = [reply(error, status)]

    completion = answer(teacher)

    assert (completion.finish_reason, completion.text) == ("too_long", "")
    assert odd.requests(CHAT) == 1
    assert answer(teacher).text == "red"


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error", "400 Bad Request"])
def test_a_code_says_too_long_whatever_the_status(status: str, odd: OddServer) -> None:
    teacher = EndpointTeacher(TeacherSpec(odd.url))
    of_llama_cpp = {"code": 400, "type": "exceed_context_size_error", "message": "no", "n_ctx": 9}
    of_openai = {"code": "context_length_exceeded", "message": "no"}
    odd.answers[CHAT] = [reply({"error": error}, status) for error in (of_llama_cpp, of_openai)]

    assert answer(teacher).finish_reason == "too_long"
    assert answer(teacher).finish_reason == "too_long"


def test_other_refusals_are_not_too_long() -> None:
    assert not is_too_long("max_tokens must be at least 1, got 0")
    assert not is_too_long("The model `org/long-context` does not exist.")


def test_a_request_that_is_certainly_too_long_is_not_sent(odd: OddServer) -> None:
    teacher = EndpointTeacher(TeacherSpec(odd.url))  # 8192 tokens

    assert answer(teacher, "word " * 40_000, max_tokens=16).finish_reason == "too_long"
    assert answer(teacher, max_tokens=9000).finish_reason == "too_long"
    assert odd.requests(CHAT) == 0
    # In doubt the server decides.
    assert answer(teacher, "word " * 7000, max_tokens=16).text == "red"


def test_a_thought_that_was_cut_off_says_so(odd: OddServer, tmp_path: Path) -> None:
    thinking = {"default": "on", "switch": "none", "parser": "qwen3", "max_tokens": 200}
    card = {
        "model": "org/model", "license": "MIT", "license_source": "x", "outputs_may_train": True,
        "terms": "x", "commercial_use": True, "certainty": "known", "thinking": thinking,
    }  # fmt: skip
    (tmp_path / "teachers.yaml").write_text(json.dumps({"model": card}), "utf-8")
    teacher = EndpointTeacher(TeacherSpec(odd.url, catalog=tmp_path))
    message = {"content": None, "reasoning": "Let me think"}
    odd.answers[CHAT] = [reply(choice(message=message, finish_reason="length"))]

    completion = answer(teacher, max_tokens=100)

    assert completion.finish_reason == "thinking"
    assert completion.reasoning == "Let me think"
    assert completion.reasoning_tokens == completion.output_tokens == 1
