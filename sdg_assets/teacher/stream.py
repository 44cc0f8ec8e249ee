"""One stream of requests for all partitions of a run.

`fill` runs thousands of generators against teachers that take requests as a stream: a row's second
batch of votes never waits for another row's first batch, and a small partition never empties the
engine's batch.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from sdg_assets.errors import FullDiskError, TeacherGoneError, TransientError
from sdg_assets.processes.cpus import usable_cpus
from sdg_assets.teacher.clock import Clock
from sdg_assets.teacher.conversation import Desk, Desks, Feed, ResultT, Usage, Work, captured
from sdg_assets.teacher.requests import Completion, FailedRequest, Request, Ringing, Teacher

EVERYBODYS = (TeacherGoneError, FullDiskError)
"""Errors of one partition that all others would meet as well."""


def fill(feeds: Iterable[Feed], *, concurrency: int | None = None) -> Iterator[Feed]:
    """Asks the teachers for everything that the work of all feeds needs, as one stream.

    The next feed is opened while requests of the ones before it are under way. An error of one feed
    is kept in it and does not disturb the others.

    Args:
        feeds: The partitions' work, opened lazily, in order.
        concurrency: Requests under way at a time; None: each teacher's capacity.

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
            if not stream.is_held and stream.start_next():
                continue
            if stream.has_room and not is_exhausted and not stream.is_held:
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
    runs_programs: bool = False,
) -> Iterator[ResultT]:
    """Fills one partition's work and keeps the results in memory, for work that is small.

    Args:
        works: One generator per row.
        desks: Who answers each role's requests.
        usage: Updated as completions arrive.
        concurrency: Requests under way at a time; None: the teachers' capacity.
        on_progress: See `Feed`.
        runs_programs: See `Feed`.

    Returns:
        The results in the order of `works`.

    Raises:
        Exception: The error of the work, of a request or of a teacher. Finished answers are in the
            log; `settle` keeps those still under way.
    """
    results: dict[int, ResultT] = {}
    kept = (captured(work, results, index) for index, work in enumerate(works))
    filling = Feed(kept, desks, usage, on_progress, runs_programs)
    for feed in fill([filling], concurrency=concurrency):
        if feed.error:
            raise feed.error
    return iter([results[index] for index in sorted(results)])


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
    clock: Clock
    began: float
    desks: list[Desk] = field(default_factory=list)
    waiting: list[_Waiting] = field(default_factory=list)

    def measured(self, outcome: Completion | FailedRequest) -> Completion | FailedRequest:
        """The outcome of the request, which ends, with its share of the GPUs' time."""
        seconds, gpus = self.clock.end(self.began), self.teacher.gpus
        if gpus is None or isinstance(outcome, FailedRequest):
            return outcome
        return outcome.model_copy(update={"gpu_seconds": round(seconds * gpus, 4)})


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
        self._clocks: dict[int, Clock] = {}
        self._steps: set[Future[_Step]] = set()
        self._pool: ThreadPoolExecutor | None = None
        self._bell = threading.Event()
        """Rings when a teacher has an outcome, or a program has ended; see `Ringing`."""

    @property
    def has_room(self) -> bool:
        under_way = len(self._asked) + len(self._steps)
        budgets = (feed.budget for feed in self.feeds if feed.budget)
        affordable = min((budget.requests_worth for budget in budgets), default=math.inf)
        if self._concurrency:
            return under_way < min(self._concurrency, affordable)
        return under_way < affordable and len(self._steps) < self._spare_capacity

    @property
    def _spare_capacity(self) -> int:
        """How many more requests the fullest teacher can hold; capacities change as they work.

        Each teacher counts its own requests: with one capacity for all, a judge on a small server
        held the solver's four servers to a quarter of what they can do.
        """
        desks = (desk for feed in self.feeds for desk in feed.desks.values())
        teachers = {id(desk.teacher): desk.teacher for desk in desks}
        return min(
            (
                teacher.capacity - (clock.under_way if (clock := self._clocks.get(key)) else 0)
                for key, teacher in teachers.items()
            ),
            default=1,
        )

    @property
    def is_held(self) -> bool:
        """Whether every partition would meet the error of one that has not been yielded yet.

        Nothing is begun then: with a full disk, answers would be paid for that cannot be stored.
        """
        return any(isinstance(feed.error, EVERYBODYS) for feed in self.feeds)

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
        teachers = [*{id(asked.teacher): asked.teacher for asked in self._asked.values()}.values()]
        self._bell.clear()
        if not teachers:
            self._continue_steps(None)
        elif len(teachers) == 1 and not self._steps:
            self._poll(teachers[0])
        else:
            self._wait_for_first(teachers)

    def _wait_for_first(self, teachers: list[Teacher]) -> None:
        """Waits for the first of several teachers and programs.

        A poll waits for its own teacher alone. With one after the other, the answers of a quick
        solver lay about, neither logged nor followed up, until a slow writer had an answer, too.
        """
        ringing = [teacher for teacher in teachers if isinstance(teacher, Ringing)]
        for listener in ringing:
            listener.bell = self._bell
        try:
            taken = self._continue_steps(0)
            for teacher in teachers:
                taken |= self._poll(teacher, wait=False)
            needy = [t for t in teachers if not isinstance(t, Ringing) or t.needs_polling]
            if taken:  # an engine that computes here gets one step all the same
                self._bell.set()
                needy = [teacher for teacher in needy if isinstance(teacher, Ringing)]
            elif not needy:
                needy = teachers[:1]
            for teacher in needy:
                self._poll(teacher)
        finally:
            for listener in ringing:
                listener.bell = None

    def _continue_steps(self, patience: float | None) -> bool:
        """Continues the work whose programs have ended; whether there was any."""
        if not self._steps:
            return False
        done, self._steps = wait_for(self._steps, patience, FIRST_COMPLETED)
        for future in done:
            step = future.result()
            if (complete := self._take(step)) is not None:
                self._advance(step.feed, step.work, complete)
        return bool(done)

    def _poll(self, teacher: Teacher, *, wait: bool = True) -> bool:
        """Takes the outcomes of a teacher; whether there was any, or an error."""
        try:
            outcomes = teacher.poll(wait=wait)
            if not outcomes and (not wait or self._bell.is_set()):
                return False
            if not outcomes:
                role = next(a.request.role for a in self._asked.values() if a.teacher is teacher)
                raise TransientError(f"the {role} went idle with requests unanswered")
        except Exception as error:  # noqa: BLE001 – every partition that waits for it gets it
            self._teacher_failed(teacher, error)
            return True
        # Leaves out late answers to an earlier conversation that failed.
        awaited = [outcome for outcome in outcomes if outcome.request_id in self._asked]
        ended = [(self._asked.pop(outcome.request_id), outcome) for outcome in awaited]
        ours = [(asked, asked.measured(outcome)) for asked, outcome in ended]
        for asked, outcome in ours:  # log them first: a signal may come at any moment
            self._log(asked, outcome)
        for asked, outcome in ours:
            if isinstance(outcome, FailedRequest):
                for waiting in asked.waiting:
                    waiting.feed.fail(outcome.error)
            else:
                self._receive(asked, outcome)
        return True

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
            asked.clock.end(asked.began)
            for desk in asked.desks:
                desk.under_way.discard(asked.request.id)
            for waiting in asked.waiting:
                waiting.feed.fail(error)

    def _receive(self, asked: _Asked, completion: Completion) -> None:
        asked.waiting[0].feed.count(completion, asked.request.role)
        for waiting in asked.waiting:
            waiting.received[completion.request_id] = completion
            if waiting.is_complete and not waiting.feed.error:
                self._advance(waiting.feed, waiting.work, waiting.answers)

    def _advance(self, feed: Feed, work: Work[Any], answers: list[Completion] | None) -> None:
        """Continues a piece of work for as long as the logs answer its requests."""
        if feed.runs_programs:
            self._pool = self._pool or ThreadPoolExecutor(usable_cpus())
            context = copy_context()  # what the partition's run allows programs to do
            step = self._pool.submit(context.run, _Step.of, feed, work, answers)
            step.add_done_callback(lambda _: self._bell.set())
            self._steps.add(step)
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
                feed.reuse(completion, request.role)
        if waiting.is_complete:
            return waiting.answers
        if feed.budget and feed.budget.is_used_up:
            feed.give_up(work)
            return None
        for request in requests:
            if request.id not in waiting.received:
                self._send(feed.desks[request.role], request, waiting)
        return None

    def _send(self, desk: Desk, request: Request, waiting: _Waiting) -> None:
        asked = self._asked.get(request.id)
        if asked is None:
            desk.teacher.submit(request)
            waiting.feed.tick()
            clock = self._clocks.setdefault(id(desk.teacher), Clock())
            asked = self._asked[request.id] = _Asked(request, desk.teacher, clock, clock.begin())
        if desk not in asked.desks:
            asked.desks.append(desk)
            desk.under_way.add(request.id)
        if waiting not in asked.waiting:
            asked.waiting.append(waiting)
