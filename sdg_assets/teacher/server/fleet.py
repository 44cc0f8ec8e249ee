"""Several servers of one model as one: requests go where they are answered soonest.

- A request goes to the server that its prompt's first part picks (rendezvous hashing), so requests
  with one anchor find its tokens in that server's prefix cache; unless that server has more than
  its share, which is the larger the faster it answers.
- A server that fails is lost. Its requests go to the others at once. It is probed, and comes back
  with one request at a time at first.
- After a failure, or a pause, a server must say which model it serves before it gets the next
  request, also if it is the only one: a rolling update may have changed the weights behind an
  address, and rows would name the old ones.
- A server with too many requests (HTTP 429) rests for as long as it asks, and then gets fewer. It
  is given up if it answers nothing for as long as a frozen one would be.
- The teacher is gone (`TeacherGoneError`) once no server answers.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import xxhash

from sdg_assets.addresses import Credentials, addresses_in, split_credentials
from sdg_assets.errors import TeacherError, TeacherGoneError, TransientError
from sdg_assets.teacher.server.background import NAME, background, run
from sdg_assets.teacher.server.refusals import (
    FAILED,
    PROXY_GAVE_UP,
    FrozenError,
    LostAnswerError,
    OwnRefusalError,
    RefusedError,
    TemporaryError,
    proxy_limit,
)
from sdg_assets.teacher.server.replies import ReplyT
from sdg_assets.teacher.server.served import ServedModel
from sdg_assets.teacher.server.server import CALL_SECONDS, Server, backoff

log = logging.getLogger(__name__)

ATTEMPTS = 6
"""Failed attempts after which a request is given up. Refusals of a busy server do not count: other
clients may hold its room for longer than the half minute that six attempts take."""
LONGEST_BACKOFF = 6
"""Attempts after which the pause between two of them grows no longer: 16 to 48 s."""
LONGEST_WAIT_SECONDS = 300.0
"""A longer `Retry-After` is not waited for: the request fails with a temporary error."""
BOUND = 1.25
"""A server gets at most this multiple of its share because of its prefix cache."""
FREE_CHOICE = 8
"""Below this many requests under way at a server there is no load to spread."""
UNHEARD_SECONDS = 10.0
"""A server that said nothing for this long while it had no request is asked for its model again."""
FIRST_PROBE_SECONDS, LONGEST_PROBE_SECONDS = 2.0, 60.0
"""A lost server is probed after the first, then after twice as long, up to the longest."""


class Fleet:
    """The servers of a teacher. Its coroutines run in the background thread."""

    def __init__(
        self,
        name: str,
        stalled_seconds: float,
        credentials: Mapping[str, Credentials] | None = None,
        length: int | None = None,
    ) -> None:
        """Prepares the clients; sends nothing.

        Args:
            name: The addresses, with commas between. Credentials in them are sent to that server
                and never shown.
            stalled_seconds: Seconds without a sign of progress after which a server is frozen.
            credentials: Address → user and password, if they are not in the address.
            length: The model's context in tokens, for servers that do not report it.

        Raises:
            TeacherError: An address is invalid, or the key in `SDG_API_KEY` contains characters
                that an HTTP header cannot hold.
        """
        self.servers: list[Server] = []
        for address in addresses_in(name):
            bare, own = split_credentials(address)
            self.servers.append(
                Server(bare, stalled_seconds, (credentials or {}).get(address) or own)
            )
        self.name = ",".join(server.url for server in self.servers)
        self.gone: TeacherGoneError | None = None
        """Set once no server answers; later requests fail at once."""
        # aiohttp complains at the end of the process about connections that nobody closed.
        weakref.finalize(self, _close, list(self.servers))
        self._length = length
        self._served: ServedModel | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        """Requests that no server has room for."""
        self._probes: dict[Server, asyncio.Task[None]] = {}
        self._recognitions: dict[Server, asyncio.Task[bool]] = {}
        self._stalled_seconds = stalled_seconds

    @property
    def under_way(self) -> int:
        """Requests that servers are answering."""
        return sum(server.load.under_way for server in self.servers)

    @property
    def room(self) -> int:
        """Requests that the servers should have under way, all together."""
        return sum(server.room.most for server in self.servers)

    def open(self) -> ServedModel:
        """Greets all servers and returns the model that they serve; for code outside the loop.

        A server that does not answer is lost for now, as long as another one answers.

        Raises:
            TeacherGoneError: No server answers.
            TeacherError: A server refuses, or they serve different models.
        """
        return run(self._open())

    async def call(self, path: str, kind: type[ReplyT], body: dict[str, Any]) -> ReplyT:
        """Makes a short call and returns the answer.

        Raises:
            TransientError: No attempt got a good answer within `CALL_SECONDS`.
            TeacherError: The server refuses the call or the credentials, or speaks another
                protocol.
        """
        return await self.ask(path, kind, body, seconds=CALL_SECONDS)

    async def ask(
        self,
        path: str,
        kind: type[ReplyT],
        body: dict[str, Any],
        *,
        key: str = "",
        form: str = "",
        seconds: float | None = None,
    ) -> ReplyT:
        """Sends a request and returns the answer; retries while servers are busy or failing.

        Args:
            path: The path below a server's address.
            kind: The type of the answer.
            body: Sent as JSON.
            key: Requests with the same key go to the same server, if its load allows it.
            form: Requests with the same form differ only in their texts. Empty: no refusal is the
                request's own.
            seconds: Time limit of an attempt; None: as long as the server makes progress.

        Raises:
            TeacherGoneError: No server answers any request.
            TransientError: None gave a good answer to this request.
            TooLongError: The request exceeds the model's context.
            OwnRefusalError: A server refuses the request, and answers others of its form.
            TeacherError: A server refuses all such requests or the credentials, or speaks another
                protocol.
        """
        failures = refusals = 0
        refused_since = 0.0
        """Time of the first of the refusals in a row by busy servers."""
        failed_at: set[Server] = set()
        """Servers that failed this request since its last pause."""
        lost: set[Server] = set()
        cuts: list[float] = []
        """Ages at which a proxy ended the last attempts, in seconds."""
        loop = asyncio.get_running_loop()
        while True:
            server = await self._turn(key, failed_at)
            answers = server.load.answers
            refused: RefusedError | None = None
            began = loop.time()
            try:
                if not await self._recognized(server):
                    continue
                began = loop.time()
                reply = await server.answer("POST", path, kind, body, seconds)
            except RefusedError as error:
                refused = error
            except LostAnswerError as error:
                raise TransientError(f"teacher {server.url}: {error}") from None
            except TemporaryError as error:
                problem = error
            else:
                server.blame.answered(form)
                return reply
            finally:
                server.load.under_way -= 1
                self._wake(2)
            if refused:
                if not (form and refused.of_request):
                    raise TeacherError(str(refused))
                await self._raise_if_own(refused.of_request, server, path, kind, body, form)
                raise TeacherError(f"{refused}; it refuses other requests of this kind, too")
            failed_at.add(server)
            cuts = [*cuts, loop.time() - began] if problem.status in PROXY_GAVE_UP else []
            await self._check_proxy(server, problem, cuts)
            if problem.is_busy:
                if not refusals or server.load.answers > answers:  # it answers other requests
                    refusals, refused_since = 0, loop.time()
                refusals += 1
            else:
                refusals = 0
            pause = backoff(min(1 + failures + refusals, LONGEST_BACKOFF))
            await self._note(server, problem, pause)
            working = [s for s in self.servers if not s.is_lost]
            others = [s for s in working if s not in failed_at]
            is_moved = bool(others) and server.is_lost and server not in lost
            failures += not (is_moved or problem.is_busy)
            is_over = failures >= ATTEMPTS or (
                problem.is_busy and loop.time() - refused_since >= self._stalled_seconds
            )
            lost |= {server} if server.is_lost else set()
            rests_too_long = problem.wait > LONGEST_WAIT_SECONDS and not others
            all_frozen = isinstance(problem, FrozenError) and working in ([], [server])
            if is_over and form and problem.status == FAILED:
                await self._raise_if_own(str(problem), server, path, kind, body, form)
            if is_over or rests_too_long or all_frozen:
                raise await self._given_up(server, path, failures + refusals, problem)
            if not others:
                await self._pause(max(pause, problem.wait))
                failed_at.clear()

    async def _check_proxy(
        self, server: Server, problem: TemporaryError, cuts: Sequence[float]
    ) -> None:
        """Ends a request that a proxy before a server always ends at the same age.

        Without this each row cost six attempts, whose answers the server computed for nobody.

        Args:
            server: The server of the last attempt.
            problem: Its failure.
            cuts: The ages of the last attempts that a proxy ended, in seconds.

        Raises:
            TeacherError: The proxy has a time limit, and the server behind it works.
        """
        known = server.proxy_limit
        limit = known if known and proxy_limit([known] * 2 + [*cuts[-1:]]) else proxy_limit(cuts)
        if limit is None or not await server.is_healthy():
            return
        server.proxy_limit = limit
        raise TeacherError(
            f"teacher {server.url}: {problem}, after {limit:.0f} s each time: a proxy before the "
            "server ends requests; raise its time limit (nginx: proxy_read_timeout), or lower "
            "SDG_CONCURRENCY, so that answers come sooner"
        )

    async def _raise_if_own(
        self,
        words: str,
        server: Server,
        path: str,
        kind: type[ReplyT],
        body: dict[str, Any],
        form: str,
    ) -> None:
        """Returns if the server refuses other requests of the same form as well.

        Raises:
            OwnRefusalError: It answers others.
            TransientError: That cannot be known now: it is busy or down.
        """

        async def trial() -> bool:
            return await server.answers_without_text(path, kind, body)

        try:
            is_own = await server.blame.is_own(form, trial, is_alone=not server.load.under_way)
        except TemporaryError as error:
            raise TransientError(
                f"teacher {server.url}: {words}; whether it refuses every request is unknown, as "
                f"another one failed ({error}); {error.remedy}"
            ) from None
        if is_own:
            raise OwnRefusalError(words)

    async def _note(self, server: Server, problem: TemporaryError, pause: float) -> None:
        """Draws the conclusions of a failed attempt for the requests to come."""
        if problem.is_busy:
            now = asyncio.get_running_loop().time()
            server.load.rest(now, max(problem.wait, pause))
            return
        server.is_doubted |= problem.is_down
        is_suspect = problem.is_down and len(self.servers) > 1 and not server.is_lost
        if is_suspect and (isinstance(problem, FrozenError) or not await server.is_healthy()):
            self._lose(server, str(problem))

    def _lose(self, server: Server, problem: str) -> None:
        if server.is_lost:
            return
        server.is_lost = True
        log.warning("teacher %s: lost (%s); its requests go to the others", server.url, problem)
        self._probes[server] = asyncio.ensure_future(self._probe(server))

    def _regain(self, server: Server) -> None:
        server.is_lost = False
        server.load.begin_slowly()
        log.warning("teacher %s: is back", server.url)
        self._wake(len(self._waiting))

    async def _probe(self, server: Server) -> None:
        """Waits until a lost server works again."""
        pause = FIRST_PROBE_SECONDS
        while server.is_lost and not self.gone:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PROBE_SECONDS)
            if not await server.is_healthy():
                continue
            try:
                if not await self._recognize(server):
                    return
            except TemporaryError:
                continue
            self._regain(server)

    async def _recognized(self, server: Server) -> bool:
        """Whether a server still serves the same model.

        It is asked once after a failure, and once after a pause in which nobody would have noticed
        one: while a partition is published, its pod may be replaced.

        Raises:
            TemporaryError: It does not answer.
        """
        silence = asyncio.get_running_loop().time() - server.heard_at
        server.is_doubted |= server.load.under_way == 1 and silence > UNHEARD_SECONDS
        if not server.is_doubted:
            return True
        if server not in self._recognitions:
            asked = asyncio.ensure_future(self._recognize(server))
            self._recognitions[server] = asked
            asked.add_done_callback(lambda _: self._recognitions.pop(server))
        return await asyncio.shield(self._recognitions[server])

    async def _recognize(self, server: Server) -> bool:
        """Asks a server which model it serves; one with another model stays out of this run.

        Raises:
            TemporaryError: It does not answer.
        """
        try:
            self._check_same(await server.greet(self._length))
        except (RefusedError, TeacherError) as error:
            if server in self.servers:
                log.warning("%s; it stays out of this run", error)
                self.servers.remove(server)
            if not self.servers:
                self.gone = self.gone or TeacherGoneError(str(error))
            self._wake(len(self._waiting))
            return False
        server.is_doubted = False
        return True

    async def _turn(self, key: str, failed_at: set[Server]) -> Server:
        """Waits until a server has room for a request, and takes the room.

        Raises:
            TeacherGoneError: No server answers any request.
            TransientError: All servers want to rest for longer than `LONGEST_WAIT_SECONDS`.
        """
        loop = asyncio.get_running_loop()
        while True:
            if self.gone:
                raise self._as_gone(self.gone)
            working = [s for s in self.servers if not s.is_lost] or self.servers
            candidates = [s for s in working if s not in failed_at] or working
            now = loop.time()
            if with_room := [s for s in candidates if s.load.has_room(now)]:
                server = self._best(key, with_room, working)
                server.load.under_way += 1
                return server
            rests = [s.load.rests_until - now for s in candidates if s.load.rests_until > now]
            if len(rests) == len(candidates) and min(rests) > LONGEST_WAIT_SECONDS:
                raise TransientError(
                    f"teacher {self.name}: it has too many requests and asks to wait "
                    f"{min(rests):.0f} s; rerun later"
                )
            await self._room(min(rests, default=None))

    async def _room(self, seconds: float | None) -> None:
        """Waits until a server may have room: a request ends, or these seconds are over."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        timer = loop.call_later(seconds, _end, turn) if seconds is not None else None
        try:
            await turn
        finally:
            if timer:
                timer.cancel()

    def _best(self, key: str, with_room: list[Server], working: list[Server]) -> Server:
        """The server for a request: the one that its key picks, or the one that has least to do."""
        if len(with_room) == 1:
            return with_room[0]
        known = [s.load.seconds for s in working if s.load.seconds is not None]
        typical = sum(known) / len(known) if known else 1.0
        weights = {s: s.load.weight(typical) for s in working}
        per_weight = (1 + sum(s.load.under_way for s in working)) / sum(weights.values())
        if key:
            for server in sorted(with_room, key=lambda s: _rank(key, s.url), reverse=True):
                share = math.ceil(BOUND * per_weight * weights[server])
                if server.load.under_way < max(FREE_CHOICE, share):
                    return server
        return min(with_room, key=lambda s: (s.load.under_way + 1) / weights[s])

    def _wake(self, requests: int) -> None:
        """Lets waiting requests look for a server again."""
        while requests > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                requests -= 1

    async def _given_up(
        self, server: Server, path: str, failures: int, problem: TemporaryError
    ) -> TransientError:
        """The error of a request that no server answers."""
        if isinstance(problem, FrozenError):
            self.gone = TeacherGoneError(f"teacher {server.url}: {problem}; {problem.remedy}")
            self._wake(len(self._waiting))
            return self._as_gone(self.gone)
        asked = f"{failures} attempts" if failures > 1 else "one attempt"
        text = f"teacher {server.url}: no answer at {path} after {asked} ({problem}); "
        text += problem.remedy
        if any(await asyncio.gather(*(s.is_healthy() for s in self.servers))):
            return TransientError(text)
        self.gone = self.gone or TeacherGoneError(text)
        self._wake(len(self._waiting))
        return self._as_gone(self.gone)

    async def _pause(self, seconds: float) -> None:
        """Waits, at most until the teacher is known to be gone."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not self.gone and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, 0.5))

    def _as_gone(self, known: TeacherGoneError) -> TeacherGoneError:
        # One exception raised by many tasks would collect all their tracebacks.
        return TeacherGoneError(str(known))

    async def _open(self) -> ServedModel:
        greetings = await asyncio.gather(
            *(server.greet(self._length) for server in self.servers), return_exceptions=True
        )
        unreachable: list[tuple[Server, BaseException]] = []
        for server, greeting in zip(self.servers, greetings, strict=True):
            if isinstance(greeting, ServedModel):
                self._served = self._served or greeting
                self._check_same(greeting)
            elif isinstance(greeting, RefusedError):
                raise TeacherError(str(greeting))
            elif isinstance(greeting, TemporaryError):
                unreachable.append((server, greeting))
            else:
                raise greeting
        if self._served is None:
            server, problem = unreachable[0]
            assert isinstance(problem, TemporaryError)
            self.gone = TeacherGoneError(f"teacher {server.url}: {problem}; {problem.remedy}")
            raise self._as_gone(self.gone)
        for server, problem in unreachable:
            self._lose(server, str(problem))
        return self._served

    def _check_same(self, served: ServedModel) -> None:
        """Compares a server's model with that of the first server.

        Raises:
            TeacherError: They differ, so their answers must not be mixed.
        """
        first = self._served
        if first and served.description != first.description:
            if served.url == first.url:
                raise TeacherError(
                    f"teacher {served.url}: serves {served.description} now, after "
                    f"{first.description} before; rerun to go on with what it serves"
                )
            raise TeacherError(
                f"teacher {served.url}: serves {served.description}, but {first.url} serves "
                f"{first.description}; all servers of a teacher must serve the same model alike"
            )


def _end(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _close(servers: list[Server]) -> None:
    """Closes the connections of a fleet that nobody uses any more."""
    for server in servers:
        closed = asyncio.run_coroutine_threadsafe(server.close(), background())
        if threading.current_thread().name != NAME:
            with suppress(TimeoutError):
                closed.result(timeout=1.0)


def _rank(key: str, url: str) -> int:
    """The highest-ranking server of a key is its own; others keep their keys if one is lost."""
    return xxhash.xxh3_64_intdigest(f"{url} {key}".encode())
