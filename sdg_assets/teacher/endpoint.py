"""The teacher as a service: any OpenAI-compatible vLLM server, by URL."""

from __future__ import annotations

import os
import queue
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

from sdg_assets.errors import TeacherError, TransientError
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.encoding import ServedTokens
from sdg_assets.teacher.requests import Completion, Message, Request, finish_reason
from sdg_assets.teacher.served import ServedModel, identity_of_served

ATTEMPTS = 6
FIRST_WAIT_SECONDS = 0.5
TIMEOUT_SECONDS = 600.0
RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class EndpointTeacher:
    """A vLLM server behind the `Teacher` protocol.

    At most `concurrency` requests are under way; a busy or failing server (429, 5xx, time-out) is
    asked again after a growing, jittered wait.
    """

    def __init__(self, url: str, concurrency: int = 64, catalog: Path | None = None) -> None:
        """Checks that the server is well and asks which model it serves.

        Args:
            url: The server's address, with or without `/v1`.
            concurrency: Requests under way at a time.
            catalog: Where `teachers.yaml` lies, if not built in.

        Raises:
            TransientError: The server does not answer.
            TeacherError: It answers, but serves no model, or another one than its card says, or
                refuses the key in `SDG_API_KEY`.
        """
        import httpx

        self._base = url.rstrip("/").removesuffix("/v1")
        key = os.environ.get("SDG_API_KEY")
        self._http = httpx.Client(
            base_url=self._base,
            timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=10.0),
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        self.send("GET", "/health", attempts=2)
        served = ServedModel.of(self._base, self.send("GET", "/v1/models", attempts=2))
        self.model, self.max_model_len = served.name, served.max_model_len
        self.identity = identity_of_served(served, catalog)
        self.words = ServedTokens(self._tokens_of_template, self._is_token)
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="teacher")
        self._finished: queue.SimpleQueue[Completion | Exception] = queue.SimpleQueue()
        self._under_way = 0

    @property
    def control_tokens(self) -> ControlTokens:
        """Those of the server's chat template; a server does not tell the others."""
        return self.words.control_tokens

    def _tokens_of_template(self) -> list[str]:
        body = {"model": self.model, "messages": [{"role": "user", "content": "Why?"}]}
        try:
            rendered = self.send("POST", "/tokenize", {**body, "return_token_strs": True})
        except TeacherError:  # a model without a chat template has no such tokens
            return []
        return [str(token) for token in rendered.get("token_strs") or []]

    def _is_token(self, text: str) -> bool:
        body = {"model": self.model, "prompt": text, "add_special_tokens": False}
        try:
            return bool(self.send("POST", "/tokenize", body).get("count") == 1)
        except TeacherError:
            return False

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens of a conversation, as the server's own tokenizer counts them."""
        body = {"model": self.model, "messages": self.words.harmless(messages)}
        return int(self.send("POST", "/tokenize", body)["count"])

    def submit(self, request: Request) -> None:
        """Hands the request to a thread."""
        self._under_way += 1
        self._pool.submit(self._work, request)

    def poll(self) -> list[Completion]:
        """Waits for one completion and takes whatever else is there."""
        finished: list[Completion] = []
        while self._under_way and not (finished and self._finished.empty()):
            result = self._finished.get()
            self._under_way -= 1
            if isinstance(result, Exception):
                raise result
            finished.append(result)
        return finished

    def _work(self, request: Request) -> None:
        # Whatever happens must reach the thread that polls, or it would wait for ever.
        try:
            self._finished.put(self.complete(request))
        except Exception as error:  # noqa: BLE001
            self._finished.put(error)

    def complete(self, request: Request) -> Completion:
        """Answers a request; raises as `send` does."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": self.words.harmless(request.messages),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        if request.json_schema:
            schema = {"name": "draft", "schema": request.json_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        began = time.monotonic()
        answer = self.send("POST", "/v1/chat/completions", body)
        choice, usage = answer["choices"][0], answer["usage"]
        details = usage.get("prompt_tokens_details") or {}
        return Completion(
            request_id=request.id,
            text=choice["message"]["content"] or "",
            finish_reason=finish_reason(choice["finish_reason"], self._base),
            prompt_tokens=usage["prompt_tokens"],
            output_tokens=usage["completion_tokens"],
            cached_tokens=details.get("cached_tokens") or 0,
            seconds=round(time.monotonic() - began, 3),
        )

    def send(
        self, method: str, path: str, body: dict[str, Any] | None = None, attempts: int = ATTEMPTS
    ) -> dict[str, Any]:
        """What the server answers to one call, asked again while it is busy or failing.

        Raises:
            TransientError: It never answered.
            TeacherError: It refuses the call, or the key.
        """
        import httpx

        problem = ""
        for attempt in range(attempts):
            if attempt:
                pause = FIRST_WAIT_SECONDS * 2**attempt
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 – jitter
            try:
                response = self._http.request(method, path, json=body)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if response.status_code in RETRIED:
                problem = f"HTTP {response.status_code}: {response.text[:200]}"
                continue
            if response.status_code in (401, 403):
                raise TeacherError(
                    f"teacher {self._base}: access refused (HTTP {response.status_code}); set "
                    "SDG_API_KEY to a key that the server accepts"
                )
            if response.is_error:
                raise TeacherError(
                    f"teacher {self._base}{path}: HTTP {response.status_code}: "
                    f"{response.text[:300]}"
                )
            return dict(response.json()) if response.content else {}
        raise TransientError(
            f"teacher {self._base}: no answer at {path} after {attempts} attempts ({problem}); "
            "is the server up, and SDG_TEACHER its address?"
        )


@lru_cache(maxsize=4)
def endpoint_teacher(url: str, concurrency: int, catalog: Path | None = None) -> EndpointTeacher:
    """The client of that server, checked once per process.

    Raises:
        TransientError: The server does not answer.
        TeacherError: It cannot be used.
    """
    return EndpointTeacher(url, concurrency, catalog)
