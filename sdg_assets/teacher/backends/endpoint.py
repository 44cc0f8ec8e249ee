"""The teacher as a service: servers with an OpenAI-compatible API, by address.

vLLM, SGLang, NIM and llama.cpp were looked at; what a server lacks is done without. Several
addresses of one model, `http://a,http://b`, are one teacher: see `server/fleet.py`.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from sdg_assets.addresses import is_url
from sdg_assets.errors import TeacherError
from sdg_assets.teacher.backend import Backend, TeacherSpec
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.encoding import instructed, instruction_of
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    Message,
    Request,
    TeacherIdentity,
    finish_reason,
    output_limit,
    refused,
    too_long,
)
from sdg_assets.teacher.server.background import background, run
from sdg_assets.teacher.server.fleet import Fleet
from sdg_assets.teacher.server.refusals import OwnRefusalError, TooLongError
from sdg_assets.teacher.server.replies import ChatReply, TokenCount
from sdg_assets.teacher.server.room import Turns
from sdg_assets.teacher.server.served import identity_of_served
from sdg_assets.teacher.server.words import (
    AskedWords,
    GuessedWords,
    Words,
    fits_surely,
    local_words,
)
from sdg_assets.teacher.thoughts import parted_reply, response_format, thinking_body

log = logging.getLogger(__name__)

ClientT = TypeVar("ClientT", bound="EndpointTeacher")
PREFIX = 600
"""Letters of the last turn that pick a server: the beginning of the anchor, or of the question.
The system turn is not part: it is equal for all rows of a task."""


class EndpointTeacher:
    """Servers behind the `Teacher` protocol.

    At most `capacity` requests are under way. A request that a busy or failing server does not
    answer is sent again, to another server if there is one. An error fails only its own request,
    unless no server answers at all.
    """

    gpus: int | None = None
    """Unknown: a server does not say what it runs on."""
    needs_polling: bool = False

    def __init__(self, spec: TeacherSpec) -> None:
        """Checks the servers' health and asks which model they serve.

        Args:
            spec: The teacher, whose name is an address, or several with commas between.

        Raises:
            TransientError: No server answers.
            TeacherError: A server lists no model, its model contradicts the card, the servers serve
                different models, or one refuses the key in `SDG_API_KEY`.
        """
        stated = spec.engine.get("max_model_len")
        self.fleet = Fleet(spec.name, spec.stalled_seconds, spec.credentials, stated)
        self._served = self.fleet.open()
        self.model, self.max_model_len = self._served.name, self._served.max_model_len
        if not self._served.knows_length:
            log.warning(
                "teacher %s: the server does not say how long its model's context is, so prompts "
                "are kept to %s tokens; state it: SDG_ENGINE='{\"max_model_len\": …}'",
                self.fleet.name, self.max_model_len,
            )  # fmt: skip
        self.identity = identity_of_served(self._served, spec.catalog)
        self._concurrency = spec.concurrency
        self._turns = Turns(lambda: self.capacity)
        self._finished: queue.SimpleQueue[Completion | FailedRequest] = queue.SimpleQueue()
        self.bell: threading.Event | None = None
        self._under_way = 0
        self._refusals = 0
        self._inbox: deque[tuple[Request, dict[str, Any] | None]] = deque()
        """Requests on the way to the background thread, with their bodies where the words are known
        that they are made of."""
        self._is_woken = False
        self._works: set[asyncio.Task[None]] = set()
        """Requests under way; the event loop itself may forget its tasks."""

    @cached_property
    def words(self) -> Words:
        """How prompts are counted and made harmless: as well as this server allows."""
        if local := local_words(self._served, self.identity):
            return local
        for form in (self._of_vllm, self._of_llama_cpp):
            if run(self._tokens(form, "Why")) is not None:
                template = run(self._tokens_of_template())
                return AskedWords(template, partial(self._is_token, form))
        log.warning(
            "teacher %s: neither its tokenizer nor its server says which texts are control tokens, "
            "so prompts get a blank in every text like <word> or [word] that is no HTML",
            self.fleet.name,
        )
        return GuessedWords()

    @property
    def control_tokens(self) -> ControlTokens:
        """The known control tokens of the tokenizer, besides the usual ones."""
        return self.words.control_tokens

    def _of_vllm(self, text: str) -> dict[str, Any]:
        return {"model": self.model, "prompt": text, "add_special_tokens": False}

    def _of_llama_cpp(self, text: str) -> dict[str, Any]:
        return {"content": text, "add_special": False, "parse_special": True}

    async def _tokens(self, form: Callable[[str], dict[str, Any]], text: str) -> int | None:
        """Number of tokens of a text by the server; None if it does not tell."""
        try:
            answer = await self.fleet.call("/tokenize", TokenCount, form(text))
        except TeacherError:
            return None
        return answer.count if answer.count is not None else len(answer.tokens) or None

    async def _is_token(self, form: Callable[[str], dict[str, Any]], text: str) -> bool:
        # A server that does not say gets a blank too many rather than an instruction in a question.
        return await self._tokens(form, text) in (1, None)

    async def _tokens_of_template(self) -> list[str]:
        conversation = [{"role": "user", "content": "Why?"}]
        body = {"model": self.model, "messages": conversation, "return_token_strs": True}
        try:
            return (await self.fleet.call("/tokenize", TokenCount, body)).token_strs or []
        except TeacherError:  # no chat template, or not vLLM's API: it has no such tokens
            return []

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Number of prompt tokens of a conversation; without its tokenizer, an estimate."""
        return self.words.count(messages)

    @property
    def capacity(self) -> int:
        """Requests under way at a time: `SDG_CONCURRENCY`, or what the servers have room for."""
        return self._concurrency or max(1, self.fleet.room)

    @property
    def waiting(self) -> int:
        """Requests that no server has been sent yet, or that are to be sent again."""
        return max(0, self._under_way - self._finished.qsize() - self.fleet.under_way)

    def submit(self, request: Request) -> None:
        """Hands the request to the background thread.

        A request that certainly exceeds the context is not sent, and is answered as `too_long`. In
        doubt the server decides.
        """
        if prompt_tokens := self._excess(request):
            self._under_way += 1
            self._finish(too_long(request, prompt_tokens))
            return
        # Counted afterwards: a body that cannot be made is never answered, so a poll with nothing
        # else under way would wait for ever.
        body = self.body(request) if self.words.knows(request.messages) else None
        self._under_way += 1
        self._inbox.append((request, body))
        # Waking the loop is a system call, after which this thread waits for the interpreter's lock
        # until the loop is idle: with one call a request, a burst of answers left 1,024 requests
        # unsent for 0.3 s.
        if not self._is_woken:
            self._is_woken = True
            background().call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        """Begins the submitted requests; in the background thread."""
        self._is_woken = False
        while self._inbox:
            work = asyncio.ensure_future(self._work(*self._inbox.popleft()))
            self._works.add(work)
            work.add_done_callback(self._works.discard)

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        """Takes all finished requests; with `wait`, waits until one is finished or `bell` rings."""
        if not self._under_way:
            return []
        if wait and self.bell and self._finished.empty():
            self.bell.wait()
            wait = False
        # Only what is there now: while answers come in, the queue may never be empty.
        ready = max(self._finished.qsize(), 1 if wait else 0)
        finished = [self._finished.get() for _ in range(ready)]
        self._under_way -= len(finished)
        return finished

    def _finish(self, outcome: Completion | FailedRequest) -> None:
        """Hands an outcome to whoever polls; in any thread."""
        self._finished.put(outcome)
        if bell := self.bell:
            bell.set()

    def _excess(self, request: Request) -> int:
        """The prompt's tokens if it certainly exceeds the context; else 0."""
        room = self.max_model_len - self.longest_output(request)
        if not self._served.knows_length or fits_surely(request.messages, room):
            return 0
        prompt_tokens = self.words.least(request.messages, request.sampling.thinking)
        return prompt_tokens if prompt_tokens > room else 0

    async def _work(self, request: Request, body: dict[str, Any] | None) -> None:
        # Every outcome must reach the polling thread, or it would wait for ever.
        try:
            if body is None:
                await self.words.learn(request.messages)
                body = self.body(request)
            async with self._turns:
                self._finish(await self.complete(request, body))
        except TooLongError:
            self._finish(too_long(request, 0))
        except OwnRefusalError as refusal:
            self._warn_of_refusal(refusal)
            self._finish(refused(request, str(refusal)))
        except BaseException as error:
            reason = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
            self._finish(FailedRequest(request.id, reason))
            if not isinstance(error, Exception):
                raise

    def _warn_of_refusal(self, refusal: OwnRefusalError) -> None:
        self._refusals += 1
        if self._refusals.bit_count() == 1:  # the first, the second, the fourth …
            log.warning(
                "teacher %s: refused requests so far: %d; the last with: %s",
                self.fleet.name, self._refusals, refusal,
            )  # fmt: skip

    def longest_output(self, request: Request) -> int:
        """Most tokens of the answer, and of the thought before it."""
        return output_limit(self.identity.thinking, request.sampling)

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body of a request, with its control tokens broken up."""
        messages = self.words.harmless(request.messages)
        sampling, thinking = request.sampling, self.identity.thinking
        system = instruction_of(thinking, sampling.thinking).system
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [m.model_dump() for m in instructed(messages, system)],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": self.longest_output(request),
            # Extensions of OpenAI's API; see `server/dialect.py`. They are sent also if they switch
            # nothing on: vLLM and SGLang would take what is left out from the model's
            # `generation_config.json`, and sample otherwise than an engine. SGLang takes no 0 here.
            "top_k": sampling.top_k or -1,
            "min_p": sampling.min_p,
            "repetition_penalty": 1.0,
        }
        body |= thinking_body(thinking, sampling.thinking)
        if request.json_schema:
            body["response_format"] = response_format(request.json_schema)
        return body

    async def complete(self, request: Request, body: dict[str, Any]) -> Completion:
        """Sends the body of a request and returns its completion; raises as `Fleet.ask` does."""
        began = time.monotonic()
        key = request.messages[-1].content[:PREFIX]
        answer = await self.fleet.ask(
            "/v1/chat/completions", ChatReply, body, key=key, form=form_of(request)
        )
        choice, usage = answer.choices[0], answer.usage
        parted = parted_reply(
            self.identity.thinking,
            request,
            choice.message.content,
            choice.message.thought,
            finish_reason(choice.finish_reason, self.fleet.name),
            usage.completion_tokens,
            usage.reasoning_tokens,
            teacher=self.fleet.name,
        )
        return Completion(
            request_id=request.id,
            text=parted.answer,
            reasoning=parted.reasoning,
            finish_reason=parted.finish_reason,
            limits=request.limits,
            prompt_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            reasoning_tokens=parted.reasoning_tokens,
            cached_tokens=usage.cached_tokens,
            seconds=round(time.monotonic() - began, 3),
        )


def form_of(request: Request) -> str:
    """Requests of one form differ only in their texts: they have the same role and template."""
    return f"{request.role} {request.prompt_version}"


class Clients(Generic[ClientT]):
    """The clients of this process, one per teacher. A new one is made if the teacher was gone."""

    def __init__(self, connect: Callable[[TeacherSpec], ClientT]) -> None:
        """Starts without clients.

        Args:
            connect: Makes the client of a teacher; raises if no server can be used.
        """
        self._connect = connect
        self._connected: dict[TeacherSpec, ClientT] = {}

    def of(self, spec: TeacherSpec) -> ClientT:
        """The client of the servers whose addresses are the teacher's name."""
        client = self._connected.pop(spec, None)
        if client is None or client.fleet.gone:
            client = self._connect(spec)
        self._connected[spec] = client
        return client


class ServerBackend(Backend, Generic[ClientT]):
    """Teachers whose name is the address of a server, or of several.

    The pods of their steps are small.
    """

    kind = "vllm"
    takes_credentials = True

    def __init__(self, connect: Callable[[TeacherSpec], ClientT]) -> None:
        """Starts without clients; see `Clients`."""
        self._clients = Clients(connect)

    def serves(self, spec: TeacherSpec) -> bool:
        """Whether the name is an address."""
        return is_url(spec.name)

    def open(self, spec: TeacherSpec) -> ClientT:
        """The client of the servers, whose health was checked when the client was made."""
        return self._clients.of(spec)

    def identity(self, spec: TeacherSpec) -> TeacherIdentity:
        """The identity of the model that the servers report."""
        return self._clients.of(spec).identity


class EndpointBackend(ServerBackend[EndpointTeacher]):
    """Servers that are asked for chat completions."""

    name = "endpoint"

    def names(self, catalog: Path | None) -> str:
        """Addresses."""
        return "http://host:port, the address of a server with an OpenAI-compatible API"


BACKEND = EndpointBackend(EndpointTeacher)
