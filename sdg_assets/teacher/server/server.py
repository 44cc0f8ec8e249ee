"""The client of one server: its connections, its answers, and how much it can take now."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import time
from base64 import b64encode
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sdg_assets.addresses import HIDDEN, Credentials, checked_server, masked
from sdg_assets.errors import TeacherError
from sdg_assets.teacher.server import room
from sdg_assets.teacher.server.blame import Blame
from sdg_assets.teacher.server.connections import connected
from sdg_assets.teacher.server.dialect import Dialect, Trial
from sdg_assets.teacher.server.load import Load
from sdg_assets.teacher.server.progress import Progress, tokens_in, waiting_in
from sdg_assets.teacher.server.refusals import (
    ABSENT,
    FAILED,
    OF_REQUEST,
    SHOWN,
    FrozenError,
    LostAnswerError,
    RefusedError,
    TemporaryError,
    TooLongError,
    is_temporary,
    is_too_long,
    retry_after,
)
from sdg_assets.teacher.server.replies import (
    Anything,
    ModelList,
    OddReplyError,
    Properties,
    ReplyT,
    parsed,
)
from sdg_assets.teacher.server.room import Room
from sdg_assets.teacher.server.served import ServedModel, asked_model

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.5
"""A second attempt comes after twice this time, each later one after twice as long again."""
CALL_SECONDS = 60.0
"""Time limit of every call but a completion: health check, list of models, token of a text."""
HEALTH_SECONDS = 10.0
LONGEST_ANSWER_SECONDS = 3600.0
"""A completion that has not come by then is looked at: a router may have lost it, or a server with
few slots has not begun it."""
OVERTAKEN = 2
"""A completion is lost if this many times the requests that can be under way have been answered
since it was sent. Servers take requests in turn, but long answers leave them late."""
MOST_BYTES = 64 << 20
LOOK_UP = "is the server up, and SDG_TEACHER its address?"
_PLAIN, _PLAIN_TOKENS = "Why?", 16
"""The text of a trial, and the length of its answer: some gateways want 16 tokens at least."""
TOO_MANY = "other clients may use it, too; lower SDG_CONCURRENCY, or rerun later"


class Server:
    """A server, and the requests under way to it. Its coroutines run in the background thread."""

    def __init__(
        self, url: str, stalled_seconds: float, credentials: Credentials | None = None
    ) -> None:
        """Prepares the client; sends nothing.

        Args:
            url: The server's address, with or without `/v1`; behind `#` the name of its model, if
                it has several.
            stalled_seconds: Seconds without a sign of progress after which it counts as frozen.
            credentials: The user and password that it wants.

        Raises:
            TeacherError: The address is invalid, or the key in `SDG_API_KEY` contains characters
                that an HTTP header cannot hold.
        """
        address, _, self.model = url.partition("#")
        self.url = checked_server(address.rstrip("/").removesuffix("/v1"))
        self.load = Load()
        self.blame = Blame()
        self.room = Room()
        self.dialect = Dialect(self.url)
        self.is_lost = False
        """Whether it answers nothing now; requests then go to the other servers."""
        self.is_doubted = False
        """Whether it may have another model since it last said which one it serves."""
        self.heard_at = 0.0
        """Time of its last answer of any kind, on the event loop's clock."""
        self.proxy_limit: float | None = None
        """Seconds after which a proxy before it ends requests; None: no such proxy is known."""
        self.has_health = True
        """Whether it has `/health`; else its list of models says whether it works."""
        key = os.environ.get("SDG_API_KEY", "").strip()
        if not (key.isascii() and key.isprintable()):
            raise TeacherError(
                f"teacher {self.url}: the key in SDG_API_KEY holds characters that no HTTP header "
                "may hold; copy it again"
            )
        self._secrets = [key]
        self._authorization = f"Bearer {key}" if key else ""
        if credentials:
            basic = b64encode(":".join(credentials).encode()).decode()
            self._authorization = f"Basic {basic}"
            self._secrets += [credentials.password, basic]
        self._stalled_seconds = stalled_seconds
        self._progress = Progress(self._tokens, stalled_seconds, self._freeze)
        self._most_under_way = 0
        """Most completions that have been under way at a time."""
        self._tells_queue = False
        self._queue_watcher: asyncio.Task[None] | None = None
        self._limits: set[asyncio.Timeout] = set()
        """Time limits of the completions under way."""
        self._looks: dict[asyncio.Timeout, asyncio.TimerHandle] = {}
        """When each of them is looked at next."""
        self._frozen_limits: set[asyncio.Timeout] = set()
        self._check: asyncio.Task[bool] | None = None
        self._is_closed = False

    @cached_property
    def http(self) -> aiohttp.ClientSession:
        """The connections; made at first use, in the background thread."""
        if self._is_closed:  # a probe at the end of the process
            raise TemporaryError("the client was closed", "start it again")
        return connected(self.url, self._authorization)

    async def close(self) -> None:
        """Closes the connections, if there are any."""
        self._is_closed = True
        if session := self.__dict__.pop("http", None):
            await session.close()

    async def greet(self, length: int | None) -> ServedModel:
        """Checks the server's health and asks which model it serves.

        Args:
            length: The context's length in tokens, if the operator states it.

        Raises:
            TemporaryError: It does not answer.
            RefusedError: It refuses, or speaks another protocol.
            TeacherError: It does not list the model that the address names, or several without.
        """
        try:
            await self._twice("/health", Anything)
        except RefusedError as error:
            if error.status not in ABSENT:
                raise
            self.has_health = False
        listing = await self._twice("/v1/models", ModelList)
        name = asked_model(self.url, listing.model_dump(), self.model)["id"]
        model = next(model for model in listing.data if model.id == name)
        model.max_model_len = model.length or await self._length_in_properties()
        return ServedModel.of(self.url, {"data": [model.model_dump()]}, length)

    async def is_healthy(self) -> bool:
        """Whether the server works now. Many requests that fail together ask only once."""
        if not self._check or self._check.done():
            self._check = asyncio.ensure_future(self._checked())
        return await asyncio.shield(self._check)

    async def answers_without_text(
        self, path: str, kind: type[ReplyT], body: dict[str, Any]
    ) -> bool:
        """Whether the server answers a request with the same fields, but harmless texts.

        Raises:
            TemporaryError: It is busy or down.
        """
        try:
            await self.answer("POST", path, kind, without_text(body), CALL_SECONDS)
        except TemporaryError as error:
            if error.status != FAILED:
                raise
            return False
        except (RefusedError, TooLongError):
            return False
        return True

    async def answer(
        self,
        method: str,
        path: str,
        kind: type[ReplyT],
        body: dict[str, Any] | None = None,
        seconds: float | None = None,
    ) -> ReplyT:
        """Sends a request once and returns the answer.

        Args:
            method: The HTTP method.
            path: The path below the server's address.
            kind: The type of the answer.
            body: Sent as JSON, without the fields that the server refuses.
            seconds: Time limit; None: as long as the server makes progress.

        Raises:
            TemporaryError: Another attempt may succeed.
            LostAnswerError: The answer does not come, though the server answers others.
            TooLongError: The request exceeds the model's context.
            RefusedError: No attempt will succeed.
        """
        if body is None:
            return await self._in_time(method, path, kind, None, seconds)
        trial = Trial(self.dialect, body)
        first: RefusedError | None = None
        while True:
            try:
                reply = await self._in_time(method, path, kind, trial.next_body(), seconds)
            except RefusedError as error:
                first = first or error
                if error.status not in (400, 422) or not trial.refused(error.words):
                    raise first from None
            else:
                if trial.answered():
                    return reply

    async def _in_time(
        self,
        method: str,
        path: str,
        kind: type[ReplyT],
        body: dict[str, Any] | None,
        seconds: float | None,
    ) -> ReplyT:
        if seconds is None:
            return await self._while_it_makes_progress(method, path, kind, body)
        try:
            async with asyncio.timeout(seconds):
                return await self._attempt(method, path, kind, body)
        except TimeoutError:
            raise TemporaryError(
                f"no whole answer in {seconds:.0f} s", LOOK_UP, is_down=True
            ) from None

    async def _while_it_makes_progress(
        self, method: str, path: str, kind: type[ReplyT], body: dict[str, Any] | None
    ) -> ReplyT:
        limit, began = asyncio.timeout(None), time.monotonic()
        self._progress.watch()
        if not self._queue_watcher:
            self._queue_watcher = asyncio.ensure_future(self._watch_queue())
        try:
            async with limit:
                self._limits.add(limit)
                self._most_under_way = max(self._most_under_way, len(self._limits))
                self._look_later(limit, self.load.answers, self.load.answers)
                reply = await self._attempt(method, path, kind, body)
        except TimeoutError:
            if limit in self._frozen_limits:
                raise FrozenError(
                    f"no token for {self._stalled_seconds / 60:g} min",
                    "is it frozen? Restart it, or raise SDG_STALLED_MINUTES if its answers take "
                    "longer",
                    is_down=True,
                ) from None
            raise LostAnswerError(
                f"one answer did not come in {(time.monotonic() - began) / 60:.0f} min while later "
                "ones did; was it lost on its way?"
            ) from None
        finally:
            self._limits.discard(limit)
            self._frozen_limits.discard(limit)
            # Else the loop would keep 1.7 kB of every request for an hour: 600 MB at 100 a second.
            if look := self._looks.pop(limit, None):
                look.cancel()
            self._progress.unwatch()
        self.load.answered(time.monotonic() - began)
        return reply

    def _look_later(self, limit: asyncio.Timeout, sent: int, before: int) -> None:
        """Ends a completion that seems to be lost, after `LONGEST_ANSWER_SECONDS`, or looks again.

        Args:
            limit: The completion's time limit.
            sent: The server's answers when it was sent.
            before: The server's answers at the last look.
        """

        def look() -> None:
            answers = self.load.answers
            if limit not in self._limits:
                return
            if answers == before or answers - sent > OVERTAKEN * self._most_under_way:
                limit.reschedule(loop.time())
            else:
                self._look_later(limit, sent, answers)

        loop = asyncio.get_running_loop()
        self._looks[limit] = loop.call_later(LONGEST_ANSWER_SECONDS, look)

    def _freeze(self) -> None:
        """Ends all completions under way: the server makes no progress."""
        now = asyncio.get_running_loop().time()
        self._frozen_limits |= self._limits
        for limit in self._limits:
            limit.reschedule(now)

    async def _twice(self, path: str, kind: type[ReplyT]) -> ReplyT:
        try:
            return await self.answer("GET", path, kind, seconds=CALL_SECONDS)
        except TemporaryError:
            await asyncio.sleep(backoff(1))
        try:
            return await self.answer("GET", path, kind, seconds=CALL_SECONDS)
        except TemporaryError as error:
            raise TemporaryError(
                f"no answer at {path} after 2 attempts ({error})", error.remedy
            ) from None

    async def _length_in_properties(self) -> int | None:
        """The length of one request's context, as llama.cpp reports it."""
        try:
            answer = await self.answer("GET", "/props", Properties, seconds=HEALTH_SECONDS)
        except (TemporaryError, RefusedError):
            return None
        return answer.default_generation_settings.n_ctx

    async def _checked(self) -> bool:
        for path in ("/health", "/v1/models")[not self.has_health :]:
            try:
                await self.answer("GET", path, Anything, seconds=HEALTH_SECONDS)
            except RefusedError as error:
                if error.status not in ABSENT:
                    return False
            except Exception:  # noqa: BLE001 – any failure of the health check counts
                return False
            else:
                return True
        return False

    async def _attempt(
        self, method: str, path: str, kind: type[ReplyT], body: dict[str, Any] | None
    ) -> ReplyT:
        import aiohttp

        try:
            return await self._exchange(method, path, kind, body)
        except (aiohttp.InvalidURL, ValueError) as error:
            raise RefusedError(
                f"teacher {self.url}{path}: cannot be asked ({self._discreet(str(error))}); check "
                "SDG_TEACHER and SDG_API_KEY"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise  # the time limit of the whole attempt
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> TemporaryError:
        """A connection that failed, or an answer that is no HTTP."""
        import aiohttp

        words = self._discreet(" ".join(str(error).split()))
        if "content-encoding" in words.lower() or "decompress" in words.lower():
            return TemporaryError(
                "its answer cannot be decompressed", "look at what stands in between"
            )
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ServerTimeoutError):
            problem = f"no connection: {words}"
        elif isinstance(error, aiohttp.ClientResponseError):
            words = self._discreet(" ".join(error.message.split()))
            problem = f"its answer is no HTTP: {words[:SHOWN]}"
        elif isinstance(error, aiohttp.ClientPayloadError):
            problem = f"its answer broke off: {words[:SHOWN]}"
        else:
            problem = f"the connection was closed before an answer: {words[:SHOWN]}"
        return TemporaryError(problem, LOOK_UP, is_down=True)

    async def _exchange(
        self, method: str, path: str, kind: type[ReplyT], body: dict[str, Any] | None
    ) -> ReplyT:
        """One request and its answer, checked."""
        content = None if body is None else json.dumps(body).encode()
        async with self.http.request(
            method, f"{self.url}{path}", data=content, allow_redirects=False
        ) as response:
            data = bytearray()
            async for chunk in response.content.iter_any():
                data += chunk
                if len(data) > MOST_BYTES:
                    raise RefusedError(
                        f"teacher {self.url}{path}: answered with more than {MOST_BYTES >> 20} "
                        "MiB; use a server with an OpenAI-compatible API"
                    )
        self._progress.seen()
        self.heard_at = asyncio.get_running_loop().time()
        self._check_status(path, response, bytes(data))
        try:
            return parsed(kind, bytes(data), self._discreet)
        except OddReplyError as odd:
            problem = self._discreet(odd.problem)
            if odd.temporary:
                raise TemporaryError(problem, odd.remedy, status=odd.status) from None
            message = f"teacher {self.url}{path}: {problem}; {odd.remedy}"
            of_request = problem if odd.status in OF_REQUEST else ""
        raise RefusedError(message, of_request=of_request)

    def _check_status(self, path: str, response: aiohttp.ClientResponse, data: bytes) -> None:
        status = response.status
        where = f"teacher {self.url}{path}:"
        text = self._discreet(" ".join(data.decode("utf-8", "replace").split()))
        words = text[:SHOWN]
        problem = f"HTTP {status}{f': {words}' if words else ''}"
        if status >= 400 and is_too_long(text):
            raise TooLongError
        if is_temporary(status):
            wait = retry_after(response.headers.get("Retry-After", ""))
            if wait:
                problem += f"; it asks to wait {wait:.0f} s"
            is_busy = status == 429 or (status == 503 and wait > 0)
            remedy = TOO_MANY if is_busy else LOOK_UP
            raise TemporaryError(
                problem, remedy, wait=wait, is_busy=is_busy,
                is_down=status >= 500 and not is_busy, status=status,
            )  # fmt: skip
        if status in (401, 403):
            raise RefusedError(
                f"{where} access refused (HTTP {status}); set SDG_API_KEY to a key that the server "
                "accepts, or write SDG_TEACHER=http://user:password@...",
                status,
            )
        if 300 <= status < 400:
            target = self._discreet(masked(response.headers.get("Location", "nowhere")))
            raise RefusedError(
                f"{where} sends elsewhere (HTTP {status} to {target}); set SDG_TEACHER to the "
                "address that answers itself",
                status,
            )
        if status >= 400:
            raise RefusedError(
                f"{where} {problem}; look for this request in the server's log", status, text,
                of_request=problem if status in OF_REQUEST else "",
            )  # fmt: skip
        if not 200 <= status < 300 or status in (204, 205):
            raise RefusedError(
                f"{where} answered HTTP {status}, without content; use a server with an "
                "OpenAI-compatible API",
                status,
            )

    def _discreet(self, text: str) -> str:
        """A message of a server or library with our key and password masked."""
        for secret in filter(None, self._secrets):
            text = text.replace(secret, HIDDEN)
        return text

    async def _watch_queue(self) -> None:
        """Fits the room to the server's queue while requests are under way."""
        await asyncio.sleep(room.QUEUE_SECONDS)
        while self._limits:
            waiting = waiting_in(await self._metrics())
            if waiting is not None:
                self._tells_queue = True
                self.room.seen(waiting, self.load.under_way)
            elif not self._tells_queue:
                return  # it has no such metrics, and is not asked again
            await asyncio.sleep(room.QUEUE_SECONDS)
        self._queue_watcher = None

    async def _tokens(self) -> float | None:
        """Number of tokens that the server has processed; None if it does not report it."""
        return tokens_in(await self._metrics())

    async def _metrics(self) -> str:
        """The server's answer at `/metrics`; empty if it has none."""
        import aiohttp

        try:
            async with (
                asyncio.timeout(HEALTH_SECONDS),
                self.http.get(f"{self.url}/metrics", allow_redirects=False) as response,
            ):
                text = await response.text(errors="replace")
        except (aiohttp.ClientError, OSError, ValueError, TemporaryError):  # or a TimeoutError
            return ""
        return text if response.ok else ""


def without_text(body: dict[str, Any]) -> dict[str, Any]:
    """The body of a request with its fields and roles, but short harmless texts."""
    plain = body | {field: _PLAIN for field in ("text_1", "text_2") if field in body}
    if "messages" in body:
        plain["messages"] = [{**message, "content": _PLAIN} for message in body["messages"]]
    if "max_tokens" in body:
        plain["max_tokens"] = min(body["max_tokens"], _PLAIN_TOKENS)
    return plain


def backoff(failures: int) -> float:
    """Seconds until the next attempt, with jitter: twice as long after each failure."""
    return FIRST_WAIT_SECONDS * 2.0 ** max(failures, 1) * random.uniform(0.5, 1.5)  # noqa: S311
