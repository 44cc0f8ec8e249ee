"""The teacher as a service: any OpenAI-compatible vLLM server, by URL."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from sdg_assets.addresses import Credentials, is_url
from sdg_assets.errors import TeacherError
from sdg_assets.teacher.backend import CONCURRENCY, STALLED_SECONDS, Backend, TeacherSpec
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.encoding import ServedTokens
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    Message,
    Request,
    TeacherIdentity,
    finish_reason,
)
from sdg_assets.teacher.server.background import background
from sdg_assets.teacher.server.replies import Anything, ChatReply, ModelList, TokenCount
from sdg_assets.teacher.server.served import ServedModel, identity_of_served
from sdg_assets.teacher.server.server import Server

ClientT = TypeVar("ClientT", bound="EndpointTeacher")
DEFAULT_MODEL_LEN = 4096
"""Maximum length in tokens, if the server does not report it."""


class EndpointTeacher:
    """A vLLM server behind the `Teacher` protocol.

    At most `concurrency` requests are under way. If the server is busy or failing (429, 5xx,
    timeout), a request is retried after a growing, jittered wait. An error fails only its own
    request, unless the server answers no request at all.
    """

    def __init__(
        self,
        url: str,
        concurrency: int = CONCURRENCY,
        catalog: Path | None = None,
        *,
        credentials: Credentials | None = None,
        stalled_seconds: float = STALLED_SECONDS,
    ) -> None:
        """Checks the server's health and asks which model it serves.

        Args:
            url: The server's address, with or without `/v1`.
            concurrency: Most requests under way at a time.
            catalog: Directory of `teachers.yaml`; None: the built-in file.
            credentials: User and password for the server, if they are not in the address.
            stalled_seconds: Seconds without a token after which the server counts as frozen.

        Raises:
            TransientError: The server does not answer.
            TeacherError: The server lists no model, its model contradicts the card, or it refuses
                the key in `SDG_API_KEY`.
        """
        self.server = Server(url, concurrency, stalled_seconds, credentials)
        self.server.call("GET", "/health", Anything, attempts=2)
        listing = self.server.call("GET", "/v1/models", ModelList, attempts=2)
        served = ServedModel.of(self.server.url, listing.model_dump())
        self.model, self.max_model_len = served.name, served.max_model_len
        self.identity = identity_of_served(served, catalog)
        self.words = ServedTokens(self._tokens_of_template, self._is_token)
        self.capacity = concurrency
        self._turns = asyncio.Semaphore(concurrency)
        self._finished: queue.SimpleQueue[Completion | FailedRequest] = queue.SimpleQueue()
        self._under_way = 0

    @property
    def control_tokens(self) -> ControlTokens:
        """The control tokens of its chat template; a server does not report the others."""
        return self.words.control_tokens

    def _tokens_of_template(self) -> list[str]:
        conversation = [{"role": "user", "content": "Why?"}]
        body: dict[str, Any] = {"model": self.model, "messages": conversation}
        try:
            body |= {"return_token_strs": True}
            return self.server.call("POST", "/tokenize", TokenCount, body).token_strs or []
        except TeacherError:  # a model without a chat template has no such tokens
            return []

    def _is_token(self, text: str) -> bool:
        body = {"model": self.model, "prompt": text, "add_special_tokens": False}
        try:
            return self.server.call("POST", "/tokenize", TokenCount, body).count == 1
        except TeacherError:
            return False

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Number of prompt tokens of a conversation, by the server's own tokenizer."""
        body = {"model": self.model, "messages": self.conversation(messages)}
        return self.server.call("POST", "/tokenize", TokenCount, body).count

    def conversation(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """The messages as JSON, with their control tokens broken up.

        This may ask the server whether a text is a token: never call it in the background thread.
        """
        return self.words.harmless(messages)

    def submit(self, request: Request) -> None:
        """Hands the request to the background thread."""
        # Built in this thread: the background thread must not wait for its own call to the server.
        body = self.body(request)
        self._under_way += 1
        asyncio.run_coroutine_threadsafe(self._work(request, body), background())

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        """Takes all finished requests; with `wait`, waits until at least one is finished."""
        finished: list[Completion | FailedRequest] = []
        while self._under_way and not (finished and self._finished.empty()):
            try:
                finished.append(self._finished.get(block=wait))
            except queue.Empty:
                break
            self._under_way -= 1
        return finished

    async def _work(self, request: Request, body: dict[str, Any]) -> None:
        # Every outcome must reach the polling thread, or it would wait for ever.
        try:
            async with self._turns:
                self._finished.put(await self.complete(request, body))
        except BaseException as error:
            reason = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
            self._finished.put(FailedRequest(request.id, reason))
            if not isinstance(error, Exception):
                raise

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body of a request."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": self.conversation(request.messages),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        if request.json_schema:
            schema = {"name": "draft", "schema": request.json_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    async def complete(self, request: Request, body: dict[str, Any]) -> Completion:
        """Sends the body of a request and returns its completion; raises as `Server.ask` does."""
        began = time.monotonic()
        answer = await self.server.ask("POST", "/v1/chat/completions", ChatReply, body)
        choice, usage = answer.choices[0], answer.usage
        return Completion(
            request_id=request.id,
            text=choice.message.content or "",
            finish_reason=finish_reason(choice.finish_reason, self.server.url),
            prompt_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            seconds=round(time.monotonic() - began, 3),
        )


class Clients(Generic[ClientT]):
    """The clients of this process, one per server. A new one is made if the server was gone."""

    def __init__(self, connect: Callable[[TeacherSpec], ClientT]) -> None:
        """Starts without clients.

        Args:
            connect: Makes the client of a server; raises if the server cannot be used.
        """
        self._connect = connect
        self._connected: dict[TeacherSpec, ClientT] = {}

    def of(self, spec: TeacherSpec) -> ClientT:
        """The client of the server whose address is the teacher's name."""
        client = self._connected.pop(spec, None)
        if client is None or client.server.gone:
            client = self._connect(spec)
        self._connected[spec] = client
        return client


class ServerBackend(Backend, Generic[ClientT]):
    """Teachers whose name is the address of a vLLM server. The pods of their steps are small."""

    kind = "vllm"
    takes_credentials = True

    def __init__(self, connect: Callable[[TeacherSpec], ClientT]) -> None:
        """Starts without clients; see `Clients`."""
        self._clients = Clients(connect)

    def serves(self, spec: TeacherSpec) -> bool:
        """Whether the name is an address."""
        return is_url(spec.name)

    def open(self, spec: TeacherSpec) -> ClientT:
        """The client of the server, whose health was checked when the client was made."""
        return self._clients.of(spec)

    def identity(self, spec: TeacherSpec) -> TeacherIdentity:
        """The identity of the model that the server reports."""
        return self._clients.of(spec).identity


class EndpointBackend(ServerBackend[EndpointTeacher]):
    """Servers that are asked for chat completions."""

    name = "endpoint"

    def names(self, catalog: Path | None) -> str:
        """Addresses."""
        return "http://host:port, the address of a vLLM server"


def _connect(spec: TeacherSpec) -> EndpointTeacher:
    return EndpointTeacher(
        spec.name,
        spec.concurrency or CONCURRENCY,
        spec.catalog,
        credentials=spec.credentials,
        stalled_seconds=spec.stalled_seconds,
    )


BACKEND = EndpointBackend(_connect)
