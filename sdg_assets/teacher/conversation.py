"""The loop behind all teacher work: build requests → complete them → parse → continue.

The work on one row is a generator. It yields the requests that it needs next and receives their
completions, until it returns its result. `converse` runs thousands of generators against a teacher
that takes requests as a stream, so a row's second batch of votes never waits for another row's
first batch.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sdg_assets.errors import TransientError
from sdg_assets.records import Role
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Completion, FailedRequest, Request, Teacher

ResultT = TypeVar("ResultT")
Work = Generator[list[Request], list[Completion], ResultT]


@dataclass
class Usage:
    """The cost of teacher work: counts of requests and tokens, and wall-clock seconds.

    `reused` requests were in the log already and cost nothing; `requests` leaves them out.
    """

    requests: int = 0
    reused: int = 0
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

    def ask(self, request: Request) -> None:
        """Hands the teacher a request."""
        self.teacher.submit(request)
        self.under_way.add(request.id)

    def receive(self, outcome: Completion | FailedRequest) -> bool:
        """Adds a completion to the log. Returns whether this desk had sent the request."""
        if outcome.request_id not in self.under_way:
            return False
        self.under_way.remove(outcome.request_id)
        if isinstance(outcome, Completion):
            self.log.append(outcome)
        return True


def settle(desks: Mapping[Role, Desk], *, wait: bool) -> None:
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
                any(desk.receive(outcome) for desk in its_desks)
            if not outcomes:
                break


def converse(
    works: Iterable[Work[ResultT]],
    desks: Mapping[Role, Desk],
    usage: Usage,
    *,
    concurrency: int | None = None,
    on_progress: Callable[[int, Usage], None] | None = None,
) -> Iterator[ResultT]:
    """Runs generators of work to their results.

    Args:
        works: One generator per row, started lazily, in order.
        desks: Who answers each role's requests. Requests found in a desk's log are not sent.
        usage: Updated as completions arrive.
        concurrency: Generators under way at a time; None: as many as the least of the teachers
            has capacity for.
        on_progress: Called after each result with the number of results and the usage so far.

    Yields:
        Results in the order of `works`, each as soon as it and all before it are ready.

    Raises:
        TeacherError: A teacher cannot work as configured, or refused a request.
        TransientError: A teacher failed, or did not answer a request. Finished answers are in the
            log; `settle` keeps those still under way.
    """
    began = time.monotonic()
    floor = _Floor[ResultT](desks, usage)
    pending = enumerate(works)
    emitted = 0
    exhausted = False
    while not exhausted or floor.busy or floor.done:
        # Before starting more work: with a full log, finished results would pile up.
        while emitted in floor.done:
            usage.seconds = time.monotonic() - began
            yield floor.done.pop(emitted)
            emitted += 1
            if on_progress:
                on_progress(emitted, usage)
        if not exhausted and floor.busy < (concurrency or floor.capacity):
            index, work = next(pending, (-1, None))
            if work is None:
                exhausted = True
            else:
                floor.start(index, work)
        elif floor.busy:
            floor.wait()
    usage.seconds = time.monotonic() - began


class _Floor(Generic[ResultT]):
    """The generators under way, and the completions that each waits for."""

    def __init__(self, desks: Mapping[Role, Desk], usage: Usage) -> None:
        self.done: dict[int, ResultT] = {}
        self._desks = desks
        self._usage = usage
        self._waiting: dict[int, _Waiting[ResultT]] = {}
        self._asked: dict[str, tuple[Role, list[int]]] = {}

    @property
    def busy(self) -> int:
        return len(self._waiting)

    @property
    def capacity(self) -> int:
        return min((desk.teacher.capacity for desk in self._desks.values()), default=1)

    def start(self, index: int, work: Work[ResultT]) -> None:
        self._advance(index, work, None)

    def wait(self) -> None:
        """Polls each teacher with open requests once, and passes on the finished ones.

        Raises:
            Exception: The error of a failed request, after all received answers are in the log.
        """
        busy_roles = {id(self._desks[role].teacher): role for role, _ in self._asked.values()}
        for role in busy_roles.values():
            outcomes = self._desks[role].teacher.poll()
            if not outcomes:
                raise TransientError(f"the {role} went idle with requests unanswered")
            # Leaves out late answers to an earlier conversation that failed.
            ours = [outcome for outcome in outcomes if outcome.request_id in self._asked]
            for outcome in ours:  # log them first: a signal may come at any moment
                self._desks[self._asked[outcome.request_id][0]].receive(outcome)
            for outcome in ours:
                if isinstance(outcome, FailedRequest):
                    raise outcome.error
            for completion in ours:
                if isinstance(completion, Completion):
                    self._receive(completion)

    def _receive(self, completion: Completion) -> None:
        _, indices = self._asked.pop(completion.request_id)
        self._usage.add(completion)
        for index in indices:
            waiting = self._waiting[index]
            waiting.received[completion.request_id] = completion
            if waiting.complete:
                del self._waiting[index]
                self._advance(index, waiting.work, waiting.answers())

    def _advance(self, index: int, work: Work[ResultT], answers: list[Completion] | None) -> None:
        """Continues a generator for as long as the log answers its requests."""
        while True:
            try:
                requests = next(work) if answers is None else work.send(answers)
            except StopIteration as finished:
                self.done[index] = finished.value
                return
            waiting = _Waiting(work, requests)
            for request in requests:
                log = self._desks[request.role].log
                if request.id in log:
                    self._usage.reused += request.id not in waiting.received
                    waiting.received[request.id] = log.get(request.id)
            if not waiting.complete:
                self._waiting[index] = waiting
                for request in requests:
                    if request.id not in waiting.received:
                        self._ask(index, request)
                return
            answers = waiting.answers()

    def _ask(self, index: int, request: Request) -> None:
        if request.id in self._asked:
            waiting = self._asked[request.id][1]
            if index not in waiting:
                waiting.append(index)
            return
        self._desks[request.role].ask(request)
        self._asked[request.id] = (request.role, [index])


@dataclass
class _Waiting(Generic[ResultT]):
    work: Work[ResultT]
    requests: list[Request]
    received: dict[str, Completion] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return all(r.id in self.received for r in self.requests)

    def answers(self) -> list[Completion]:
        return [self.received[r.id] for r in self.requests]
