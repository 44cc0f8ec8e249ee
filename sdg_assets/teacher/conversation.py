"""The loop behind all teacher work: *fill* asks for whatever is missing, *replay* reads it back.

The work on one row is a generator. It yields the requests that it needs next and receives their
completions, until it returns its result. `fill` runs thousands of generators, of all partitions of
a run, against teachers that take requests as a stream: a row's second batch of votes never waits
for another row's first batch, and a small partition never empties the engine's batch. It only keeps
completions. `replay` runs the same generators again, from the logs, without a teacher.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from more_itertools import chunked

from sdg_assets.errors import StoreError, TransientError
from sdg_assets.records import Role
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    Request,
    Teacher,
    output_limit,
)

ResultT = TypeVar("ResultT")
Work = Generator[list[Request], list[Completion], ResultT]
REPLAYED_TOGETHER = 64
"""Pieces of work that are replayed at the same time, if they run programs."""


@dataclass
class Usage:
    """The cost of teacher work: counts of requests and tokens, and wall-clock seconds.

    `reused` requests, with `reused_tokens` of output, were in the log already and cost nothing;
    the other counts leave them out.
    """

    requests: int = 0
    reused: int = 0
    reused_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    finish_reasons: Counter[str] = field(default_factory=Counter)

    @property
    def tokens_per_second(self) -> float:
        """Output tokens per second of wall clock; 0 if nothing was asked."""
        return self.output_tokens / self.seconds if self.seconds else 0.0

    @property
    def cache_hit_rate(self) -> float:
        """Share of prompt tokens found in the engine's prefix cache, from 0 to 1."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    def add(self, completion: Completion) -> None:
        """Counts a new completion, one that was not in the log."""
        self.requests += 1
        self.prompt_tokens += completion.prompt_tokens
        self.cached_tokens += completion.cached_tokens
        self.output_tokens += completion.output_tokens
        self.finish_reasons[completion.finish_reason] += 1

    def merge(self, other: Usage) -> None:
        """Adds the cost of another loop, which ran after this one."""
        self.requests += other.requests
        self.reused += other.reused
        self.reused_tokens += other.reused_tokens
        self.prompt_tokens += other.prompt_tokens
        self.cached_tokens += other.cached_tokens
        self.output_tokens += other.output_tokens
        self.seconds += other.seconds
        self.finish_reasons.update(other.finish_reasons)


@dataclass(frozen=True)
class Desk:
    """A role's teacher and the log of its answers."""

    teacher: Teacher
    log: CompletionLog
    under_way: set[str] = field(default_factory=set)
    """Ids of the requests that the teacher has not answered yet."""

    def has(self, request: Request) -> bool:
        """Whether the log answers the request.

        A request that was too long once may fit now: the teacher's context may have grown.
        """
        if request.id not in self.log:
            return False
        completion = self.log.get(request.id)
        if completion.finish_reason != "too_long":
            return True
        thinking = self.teacher.identity.thinking
        needed = completion.prompt_tokens + output_limit(thinking, request.sampling)
        return bool(completion.prompt_tokens) and needed > self.teacher.max_model_len

    def receive(self, outcome: Completion | FailedRequest) -> bool:
        """Adds a completion to the log. Returns whether this desk waits for the request."""
        if outcome.request_id not in self.under_way:
            return False
        self.under_way.remove(outcome.request_id)
        if isinstance(outcome, Completion):
            self.log.append(outcome)
        return True


Desks = Mapping[Role, Desk]


@dataclass(eq=False)
class Feed:
    """The work of one partition, for `fill`.

    Attributes:
        works: One generator per row, started lazily, in order. None in between means that the next
            ones depend on results that are still open.
        desks: Who answers each role's requests. Requests found in a desk's log are not sent.
        usage: Updated as completions arrive.
        on_progress: Called after each finished piece of work with their number and the usage.
        runs_programs: Whether the work runs programs between its requests: it is then advanced in
            threads, beside the loop.
        error: Why the partition cannot be filled. Its answers so far are in the logs.
    """

    works: Iterable[Work[Any] | None]
    desks: Desks
    usage: Usage
    on_progress: Callable[[int, Usage], None] | None = None
    runs_programs: bool = False
    error: Exception | None = None

    def __post_init__(self) -> None:
        """Starts with nothing done."""
        self.done = 0
        self.open = 0
        """Pieces of work that are begun and not finished."""
        self._works = iter(self.works)
        self._is_exhausted = False
        self._began: float | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do or to wait for."""
        waits = any(desk.under_way for desk in self.desks.values())
        return not self.open and not waits and (self._is_exhausted or self.error is not None)

    def next_work(self) -> Work[Any] | None:
        """The next piece of work; None if there is none, or none yet."""
        if self._is_exhausted or self.error:
            return None
        try:
            work = next(self._works, self)
        except Exception as error:  # noqa: BLE001 – the input of one partition is unreadable
            self.fail(error)
            return None
        if work is self:
            self._is_exhausted = True
            return None
        assert not isinstance(work, Feed)
        self.open += work is not None
        return work

    def finish(self) -> None:
        """Counts a finished piece of work."""
        self.open -= 1
        self.done += 1
        if self.on_progress:
            self.on_progress(self.done, self.usage)

    def fail(self, error: Exception) -> None:
        """Ends the feed; requests under way are still waited for and logged."""
        self.error = self.error or error
        self.open = 0

    def count(self, completion: Completion) -> None:
        """Adds a new completion to the usage."""
        self.usage.add(completion)
        self.tick()

    def tick(self) -> None:
        """Notes that the teacher works for this feed."""
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        self.usage.seconds = now - self._began


def settle(desks: Desks, *, wait: bool) -> None:
    """Adds the outstanding answers of a failed conversation to the logs: they are paid for.

    Args:
        desks: The conversation's desks; their logs are open.
        wait: Whether to wait for requests under way. Otherwise only finished answers are kept.

    Raises:
        SdgError: A log cannot be written, or the teacher failed with all requests under way.
    """
    for teacher in {id(desk.teacher): desk.teacher for desk in desks.values()}.values():
        its_desks = [desk for desk in desks.values() if desk.teacher is teacher]
        while any(desk.under_way for desk in its_desks):
            outcomes = teacher.poll(wait=wait)
            for outcome in outcomes:
                for desk in its_desks:
                    desk.receive(outcome)
            if not outcomes:
                break


def fill(feeds: Iterable[Feed], *, concurrency: int | None = None) -> Iterator[Feed]:
    """Asks the teachers for everything that the work of all feeds needs, as one stream.

    The next feed is opened while requests of the ones before it are under way. An error of one feed
    is kept in it and does not disturb the others.

    Args:
        feeds: The partitions' work, opened lazily, in order.
        concurrency: Requests under way at a time; None: as many as the least of the teachers has
            capacity for.

    Yields:
        Each feed as soon as it is finished, with its error if it failed. Its completions are in the
        logs.
    """
    stream = _Stream(concurrency)
    pending, is_exhausted = iter(feeds), False
    try:
        while True:
            for feed in [feed for feed in stream.feeds if feed.is_finished]:
                stream.feeds.remove(feed)
                yield feed
            if stream.start_next():
                continue
            if stream.has_room and not is_exhausted:
                next_feed = next(pending, None)
                is_exhausted = next_feed is None
                stream.feeds += [next_feed] if next_feed else []
            elif stream.is_busy:
                stream.wait()
            elif not stream.feeds:
                return
            elif not any(feed.is_finished for feed in stream.feeds):
                raise RuntimeError("work waits for results, but nothing is under way")
    finally:
        stream.close()


def converse(
    works: Iterable[Work[ResultT]],
    desks: Desks,
    usage: Usage,
    *,
    concurrency: int | None = None,
    on_progress: Callable[[int, Usage], None] | None = None,
) -> Iterator[ResultT]:
    """Fills one partition's work and keeps the results in memory, for work that is small.

    Args:
        works: One generator per row.
        desks: Who answers each role's requests.
        usage: Updated as completions arrive.
        concurrency: Requests under way at a time; None: the teachers' capacity.
        on_progress: See `Feed`.

    Returns:
        The results in the order of `works`.

    Raises:
        Exception: The error of the work, of a request or of a teacher. Finished answers are in the
            log; `settle` keeps those still under way.
    """
    results: dict[int, ResultT] = {}
    kept = (captured(work, results, index) for index, work in enumerate(works))
    for feed in fill([Feed(kept, desks, usage, on_progress)], concurrency=concurrency):
        if feed.error:
            raise feed.error
    return iter([results[index] for index in sorted(results)])


def captured(work: Work[ResultT], results: dict[int, ResultT], index: int) -> Work[ResultT]:
    """The same work, which also stores its result in `results` under `index`."""
    result = yield from work
    results[index] = result
    return result


def replay(
    works: Iterable[Work[ResultT]],
    logs: Mapping[Role, CompletionLog],
    *,
    runs_programs: bool = False,
) -> Iterator[ResultT]:
    """Runs work whose completions are all in the logs; needs no teacher.

    Args:
        works: One generator per row, the same as were filled.
        logs: Role → the log with its answers.
        runs_programs: Whether the work runs programs: several pieces then run at the same time.

    Yields:
        Results in the order of `works`.

    Raises:
        StoreError: A completion is missing: the partition was not filled to the end.
    """
    lock = threading.Lock()

    def completion_of(request: Request) -> Completion:
        with lock:
            try:
                return logs[request.role].get(request.id)
            except KeyError as error:
                raise StoreError(
                    f"{logs[request.role].path}: request {request.id} of the {request.role} has no "
                    "completion; run again to ask for what is missing"
                ) from error

    def result_of(work: Work[ResultT]) -> ResultT:
        answers: list[Completion] | None = None
        while True:
            try:
                requests = next(work) if answers is None else work.send(answers)
            except StopIteration as finished:
                result: ResultT = finished.value
                return result
            answers = [completion_of(request) for request in requests]

    if not runs_programs:
        yield from map(result_of, works)
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for some in chunked(works, REPLAYED_TOGETHER):
            futures = [pool.submit(copy_context().run, result_of, work) for work in some]
            yield from (future.result() for future in futures)


@dataclass(eq=False)
class _Waiting:
    """A piece of work that waits for completions."""

    feed: Feed
    work: Work[Any]
    requests: list[Request]
    received: dict[str, Completion]

    @property
    def is_complete(self) -> bool:
        return all(request.id in self.received for request in self.requests)

    @property
    def answers(self) -> list[Completion]:
        return [self.received[request.id] for request in self.requests]


@dataclass(eq=False)
class _Asked:
    """A request under way, and who waits for it."""

    request: Request
    teacher: Teacher
    desks: list[Desk] = field(default_factory=list)
    waiting: list[_Waiting] = field(default_factory=list)


@dataclass(eq=False)
class _Step:
    """What a piece of work did when it was continued."""

    feed: Feed
    work: Work[Any]
    requests: list[Request] | None = None
    """The requests that it needs next; None if it is finished."""
    error: Exception | None = None

    @classmethod
    def of(cls, feed: Feed, work: Work[Any], answers: list[Completion] | None) -> _Step:
        """Continues the work; never raises an `Exception`."""
        try:
            return cls(feed, work, next(work) if answers is None else work.send(answers))
        except StopIteration:
            return cls(feed, work)
        except Exception as error:  # noqa: BLE001 – kept in the feed
            return cls(feed, work, error=error)


class _Stream:
    """The requests under way of all feeds, and the work that waits for them."""

    def __init__(self, concurrency: int | None) -> None:
        self.feeds: list[Feed] = []
        self._concurrency = concurrency
        self._asked: dict[str, _Asked] = {}
        self._steps: set[Future[_Step]] = set()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def has_room(self) -> bool:
        return len(self._asked) + len(self._steps) < (self._concurrency or self._capacity)

    @property
    def _capacity(self) -> int:
        """What the least of the teachers can hold; it may change while they work."""
        desks = (desk for feed in self.feeds for desk in feed.desks.values())
        teachers = {id(desk.teacher): desk.teacher for desk in desks}
        return min((teacher.capacity for teacher in teachers.values()), default=1)

    @property
    def is_busy(self) -> bool:
        return bool(self._asked or self._steps)

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def start_next(self) -> bool:
        """Starts one piece of work, of the first feed that has one; whether there was room for it.

        Earlier feeds come first, so that partitions finish one after the other.
        """
        if not self.has_room:
            return False
        for feed in self.feeds:
            if work := feed.next_work():
                self._advance(feed, work, None)
                return True
        return False

    def wait(self) -> None:
        """Waits for completions or for programs, and continues the work that needed them."""
        if self._steps:
            # Programs need no help of this thread, but an engine in this process does.
            patience = 0 if self._asked else None
            done, self._steps = wait_for(self._steps, patience, FIRST_COMPLETED)
            for future in done:
                step = future.result()
                if (complete := self._take(step)) is not None:
                    self._advance(step.feed, step.work, complete)
        teachers = {id(asked.teacher): asked.teacher for asked in self._asked.values()}
        for teacher in teachers.values():
            self._poll(teacher)

    def _poll(self, teacher: Teacher) -> None:
        try:
            outcomes = teacher.poll()
            if not outcomes:
                role = next(a.request.role for a in self._asked.values() if a.teacher is teacher)
                raise TransientError(f"the {role} went idle with requests unanswered")
        except Exception as error:  # noqa: BLE001 – every partition that waits for it gets it
            self._teacher_failed(teacher, error)
            return
        # Leaves out late answers to an earlier conversation that failed.
        ours = [(self._asked.pop(o.request_id), o) for o in outcomes if o.request_id in self._asked]
        for asked, outcome in ours:  # log them first: a signal may come at any moment
            self._log(asked, outcome)
        for asked, outcome in ours:
            if isinstance(outcome, FailedRequest):
                for waiting in asked.waiting:
                    waiting.feed.fail(outcome.error)
            else:
                self._receive(asked, outcome)

    def _log(self, asked: _Asked, outcome: Completion | FailedRequest) -> None:
        for desk in asked.desks:
            try:
                desk.receive(outcome)
            except Exception as error:  # noqa: BLE001 – a full disk, a bucket that refuses
                for waiting in asked.waiting:
                    if desk in waiting.feed.desks.values():
                        waiting.feed.fail(error)

    def _teacher_failed(self, teacher: Teacher, error: Exception) -> None:
        for asked in [asked for asked in self._asked.values() if asked.teacher is teacher]:
            del self._asked[asked.request.id]
            for desk in asked.desks:
                desk.under_way.discard(asked.request.id)
            for waiting in asked.waiting:
                waiting.feed.fail(error)

    def _receive(self, asked: _Asked, completion: Completion) -> None:
        asked.waiting[0].feed.count(completion)
        for waiting in asked.waiting:
            waiting.received[completion.request_id] = completion
            if waiting.is_complete and not waiting.feed.error:
                self._advance(waiting.feed, waiting.work, waiting.answers)

    def _advance(self, feed: Feed, work: Work[Any], answers: list[Completion] | None) -> None:
        """Continues a piece of work for as long as the logs answer its requests."""
        if feed.runs_programs:
            self._pool = self._pool or ThreadPoolExecutor(os.cpu_count())
            context = copy_context()  # what the partition's run allows programs to do
            self._steps.add(self._pool.submit(context.run, _Step.of, feed, work, answers))
            return
        complete = self._take(_Step.of(feed, work, answers))
        while complete is not None:
            complete = self._take(_Step.of(feed, work, complete))

    def _take(self, step: _Step) -> list[Completion] | None:
        """Asks for what the work needs next; returns the answers if the logs hold all of them."""
        feed = step.feed
        if feed.error:
            return None
        if step.error:
            feed.fail(step.error)
        elif step.requests is None:
            feed.finish()
        else:
            try:
                return self._ask(feed, step.work, step.requests)
            except Exception as error:  # noqa: BLE001 – a teacher that cannot start, a broken log
                feed.fail(error)
        return None

    def _ask(self, feed: Feed, work: Work[Any], requests: list[Request]) -> list[Completion] | None:
        waiting = _Waiting(feed, work, requests, {})
        for request in requests:
            desk = feed.desks[request.role]
            if request.id not in waiting.received and desk.has(request):
                completion = waiting.received[request.id] = desk.log.get(request.id)
                feed.usage.reused += 1
                feed.usage.reused_tokens += completion.output_tokens
        if waiting.is_complete:
            return waiting.answers
        for request in requests:
            if request.id not in waiting.received:
                self._send(feed.desks[request.role], request, waiting)
        return None

    def _send(self, desk: Desk, request: Request, waiting: _Waiting) -> None:
        asked = self._asked.get(request.id)
        if asked is None:
            desk.teacher.submit(request)
            waiting.feed.tick()
            asked = self._asked[request.id] = _Asked(request, desk.teacher)
        if desk not in asked.desks:
            asked.desks.append(desk)
            desk.under_way.add(request.id)
        if waiting not in asked.waiting:
            asked.waiting.append(waiting)
