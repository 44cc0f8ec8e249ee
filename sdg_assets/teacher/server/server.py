"""The client of a server with vLLM's API; it handles busy, odd, frozen and dead servers."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from base64 import b64encode
from collections.abc import Coroutine
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from sdg_assets.addresses import (
    HIDDEN,
    Credentials,
    checked_server,
    masked,
    split_credentials,
)
from sdg_assets.errors import TeacherError, TeacherGoneError, TransientError
from sdg_assets.teacher.server.background import run
from sdg_assets.teacher.server.progress import Progress, tokens_in
from sdg_assets.teacher.server.replies import (
    SHOWN,
    Anything,
    OddReplyError,
    ReplyT,
    is_temporary,
    parsed,
)

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 6
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 300.0
"""A longer `Retry-After` is not waited for: the request fails with a temporary error."""
CALL_SECONDS = 60.0
"""Time limit of every call but a completion: health check, list of models, count of tokens."""
LONGEST_ANSWER_SECONDS = 3600.0
"""Time limit of a completion while the server answers others: a router may have lost it."""
MOST_BYTES = 64 << 20
ResultT = TypeVar("ResultT")


class _TemporaryError(Exception):
    """An attempt that failed and may be repeated."""

    def __init__(self, problem: str, remedy: str, wait: float = 0.0) -> None:
        super().__init__(problem)
        self.remedy = remedy
        self.wait = wait
        """Seconds that the server asks to wait (`Retry-After`); 0 if it does not."""


class Server:
    """A server, and the requests under way to it."""

    def __init__(
        self,
        url: str,
        concurrency: int,
        stalled_seconds: float,
        credentials: Credentials | None = None,
    ) -> None:
        """Prepares the client; sends nothing.

        Args:
            url: The server's address, with or without `/v1`. A user and password in it are sent
                to the server and never shown.
            concurrency: Most connections at a time.
            stalled_seconds: Seconds without a sign of progress after which a completion fails.
            credentials: The user and password, if they are not in the address.

        Raises:
            TeacherError: The address is invalid, or the key in `SDG_API_KEY` contains characters
                that an HTTP header cannot hold.
        """
        import httpx

        bare, own = split_credentials(url)
        credentials = credentials or own
        self.url = checked_server(bare.rstrip("/").removesuffix("/v1"))
        self.gone: TeacherGoneError | None = None
        """Set once the server is known to answer no request; later requests fail at once."""
        key = os.environ.get("SDG_API_KEY", "").strip()
        if not (key.isascii() and key.isprintable()):
            raise TeacherError(
                f"teacher {self.url}: the key in SDG_API_KEY holds characters that no HTTP header "
                "may hold; copy it again"
            )
        self._secrets = [key]
        if credentials:
            self._secrets += [
                credentials.password,
                b64encode(":".join(credentials).encode()).decode(),
            ]
        self._stalled_seconds = stalled_seconds
        self._progress = Progress(self._tokens, stalled_seconds)
        self.http = httpx.AsyncClient(
            base_url=self.url,
            timeout=httpx.Timeout(None, connect=10.0, pool=None),
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            headers={"Authorization": f"Bearer {key}"} if key and not credentials else {},
            auth=credentials,
            verify=_trust(),
        )

    def call(
        self,
        method: str,
        path: str,
        kind: type[ReplyT],
        body: dict[str, Any] | None = None,
        attempts: int = ATTEMPTS,
    ) -> ReplyT:
        """Makes a short call and returns the answer; for code outside the event loop.

        Raises:
            TransientError: No attempt got a good answer within `CALL_SECONDS`.
            TeacherError: The server refuses the call or the credentials, or speaks another
                protocol.
        """
        return run(self.ask(method, path, kind, body, attempts=attempts, seconds=CALL_SECONDS))

    async def ask(
        self,
        method: str,
        path: str,
        kind: type[ReplyT],
        body: dict[str, Any] | None = None,
        *,
        attempts: int = ATTEMPTS,
        seconds: float | None = None,
    ) -> ReplyT:
        """Sends a request and returns the answer; retries while the server is busy or failing.

        Args:
            method: The HTTP method.
            path: The path below the server's address.
            kind: The type of the answer.
            body: Sent as JSON.
            attempts: Most attempts.
            seconds: Time limit of an attempt; None: as long as the server makes progress.

        Raises:
            TeacherGoneError: The server answers no request.
            TransientError: It gave no good answer to this request.
            TeacherError: It refuses the request or the credentials, or speaks another protocol.
        """
        last = _TemporaryError("", "")
        for attempt in range(attempts):
            if attempt:
                backoff = FIRST_WAIT_SECONDS * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311
                await self._pause(max(backoff, last.wait))
            if self.gone:
                raise self._as_gone(self.gone)
            try:
                return await self._attempt(method, path, kind, body, seconds)
            except _TemporaryError as error:
                last = error
                if error.wait > LONGEST_WAIT_SECONDS:
                    break
        asked = f"{attempt + 1} attempts" if attempt else "one attempt"
        text = f"teacher {self.url}: no answer at {path} after {asked} ({last}); {last.remedy}"
        if await self._answers_nobody(path):
            self.gone = TeacherGoneError(text)
            raise self._as_gone(self.gone)
        raise TransientError(text)

    async def _attempt(
        self,
        method: str,
        path: str,
        kind: type[ReplyT],
        body: dict[str, Any] | None,
        seconds: float | None,
    ) -> ReplyT:
        import httpx

        exchange = self._exchange(method, path, kind, body)
        try:
            if seconds is None:
                return await self._while_it_makes_progress(exchange)
            async with asyncio.timeout(seconds):
                return await exchange
        except TimeoutError:
            problem = f"no whole answer in {seconds:.0f} s"
        except httpx.DecodingError:
            raise _TemporaryError(
                "its answer cannot be decompressed", "look at what stands in between"
            ) from None
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
            raise TeacherError(
                f"teacher {self.url}{path}: cannot be asked ({self._discreet(str(error))}); check "
                "SDG_TEACHER and SDG_API_KEY"
            ) from None
        except httpx.RequestError as error:
            words = self._discreet(str(error))
            problem = f"{type(error).__name__}{f': {words}' if words else ''}"
        raise _TemporaryError(problem, "is the server up, and SDG_TEACHER its address?")

    async def _exchange(
        self, method: str, path: str, kind: type[ReplyT], body: dict[str, Any] | None
    ) -> ReplyT:
        """One request and its answer, checked."""
        async with self.http.stream(method, path, json=body) as response:
            data = bytearray()
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > MOST_BYTES:
                    raise TeacherError(
                        f"teacher {self.url}{path}: answered with more than {MOST_BYTES >> 20} "
                        "MiB; use a server with vLLM's OpenAI-compatible API"
                    )
        self._progress.seen()
        self._check_status(path, response, bytes(data))
        try:
            return parsed(kind, bytes(data))
        except OddReplyError as odd:
            problem = self._discreet(odd.problem)
            if odd.temporary:
                raise _TemporaryError(problem, odd.remedy) from None
            message = f"teacher {self.url}{path}: {problem}; {odd.remedy}"
        raise TeacherError(message)

    def _check_status(self, path: str, response: httpx.Response, data: bytes) -> None:
        status = response.status_code
        where = f"teacher {self.url}{path}:"
        words = self._discreet(" ".join(data.decode("utf-8", "replace").split()))[:SHOWN]
        problem = f"HTTP {status}{f': {words}' if words else ''}"
        if is_temporary(status):
            wait = _retry_after(response.headers.get("Retry-After", ""))
            if wait:
                problem += f"; it asks to wait {wait:.0f} s"
            raise _TemporaryError(problem, "is the server up, and SDG_TEACHER its address?", wait)
        if status in (401, 403):
            raise TeacherError(
                f"{where} access refused (HTTP {status}); set SDG_API_KEY to a key that the server "
                "accepts, or write SDG_TEACHER=http://user:password@..."
            )
        if 300 <= status < 400:
            target = self._discreet(masked(response.headers.get("Location", "nowhere")))
            raise TeacherError(
                f"{where} sends elsewhere (HTTP {status} to {target}); set SDG_TEACHER to the "
                "address that answers itself"
            )
        if status >= 400:
            raise TeacherError(f"{where} {problem}; look for this request in the server's log")
        if not 200 <= status < 300 or status in (204, 205):
            raise TeacherError(
                f"{where} answered HTTP {status}, without content; use a server with vLLM's "
                "OpenAI-compatible API"
            )

    async def _while_it_makes_progress(self, exchange: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Waits for an answer as long as the server makes progress.

        Raises:
            TeacherGoneError: It produced no token for too long: no request under way will end.
            TransientError: It makes progress with other requests, but this answer does not come.
        """
        task = asyncio.ensure_future(exchange)
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._progress.watch()
        try:
            while True:
                # Short waits: another request may find out that the server is gone.
                done, _ = await asyncio.wait({task}, timeout=min(1.0, self._stalled_seconds / 4))
                if done:
                    return task.result()
                if self.gone:
                    raise self._as_gone(self.gone)
                if loop.time() - max(began, self._progress.last) >= self._stalled_seconds:
                    self.gone = TeacherGoneError(
                        f"teacher {self.url}: no token for {self._stalled_seconds / 60:g} min; is "
                        "it frozen? Restart it, or raise SDG_STALLED_MINUTES if its answers take "
                        "longer"
                    )
                    raise self._as_gone(self.gone)
                if loop.time() - began >= LONGEST_ANSWER_SECONDS:
                    raise TransientError(
                        f"teacher {self.url}: one answer did not come in "
                        f"{LONGEST_ANSWER_SECONDS / 60:.0f} min while others did; was it lost on "
                        "its way?"
                    )
        finally:
            self._progress.unwatch()
            task.cancel()

    async def _pause(self, seconds: float) -> None:
        """Waits, at most until the server is known to be gone."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not self.gone and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, 0.5))

    async def _answers_nobody(self, path: str) -> bool:
        """Whether the server is gone, rather than failing with one request."""
        if path == "/health":
            return True
        try:
            async with asyncio.timeout(CALL_SECONDS / 6):
                await self._exchange("GET", "/health", Anything, None)
        except Exception:  # noqa: BLE001 – any failure of the health check counts
            return True
        return False

    def _as_gone(self, known: TeacherGoneError) -> TeacherGoneError:
        # One exception raised by many tasks would collect all their tracebacks.
        return TeacherGoneError(str(known))

    def _discreet(self, text: str) -> str:
        """A message of a server or library with our key and password masked."""
        for secret in filter(None, self._secrets):
            text = text.replace(secret, HIDDEN)
        return text

    async def _tokens(self) -> float | None:
        """Number of tokens that the server has processed; None if it does not report it."""
        import httpx

        try:
            async with asyncio.timeout(CALL_SECONDS / 6):
                response = await self.http.get("/metrics")
        except (httpx.RequestError, TimeoutError):
            return None
        return tokens_in(response.text) if response.is_success else None


@cache
def _trust() -> ssl.SSLContext:
    """The certificates that servers are checked against, cached: reading them takes 50 ms."""
    import httpx

    return httpx.create_ssl_context()


def _retry_after(header: str) -> float:
    """Seconds to wait by a `Retry-After` header (seconds or a date); 0 if it has no value."""
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
