"""The loop that all teacher work is: build requests → complete them → parse → go on.

A piece of work is a generator, one a row: it yields the requests it needs next and receives their
completions, until it returns its result. `converse` runs thousands of them against a teacher that
is fed as a stream, so a row's second wave of votes never waits for another row's first.
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
    """What teacher work cost. `reused` requests were in the log already and cost nothing."""

    requests: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    finish_reasons: Counter[str] = field(default_factory=Counter)

    @property
    def tokens_per_second(self) -> float:
        """Output tokens a second of wall clock; 0 when nothing was asked."""
        return self.output_tokens / self.seconds if self.seconds else 0.0

    @property
    def cache_hit_rate(self) -> float:
        """Share of prompt tokens that the engine's prefix cache held."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    def add(self, completion: Completion) -> None:
        """Counts a completion that was asked for now."""
        self.requests += 1
        self.prompt_tokens += completion.prompt_tokens
        self.cached_tokens += completion.cached_tokens
        self.output_tokens += completion.output_tokens
        self.finish_reasons[completion.finish_reason] += 1

    def merge(self, other: Usage) -> None:
        """Adds what another loop cost, run after this one."""
        self.requests += other.requests
        self.reused += other.reused
        self.prompt_tokens += other.prompt_tokens
        self.cached_tokens += other.cached_tokens
        self.output_tokens += other.output_tokens
        self.seconds += other.seconds
        self.finish_reasons.update(other.finish_reasons)


@dataclass(frozen=True)
class Desk:
    """A role's teacher and the log that keeps what it says."""

    teacher: Teacher
    log: CompletionLog
    under_way: set[str] = field(default_factory=set)
    """Ids of the requests that the teacher has not answered yet."""

    def ask(self, request: Request) -> None:
        """Hands the teacher a request."""
        self.teacher.submit(request)
        self.under_way.add(request.id)

    def receive(self, outcome: Completion | FailedRequest) -> bool:
        """Keeps a completion in the log; says whether the request came from this desk."""
        if outcome.request_id not in self.under_way:
            return False
        self.under_way.remove(outcome.request_id)
        if isinstance(outcome, Completion):
            self.log.append(outcome)
        return True


def settle(desks: Mapping[Role, Desk], *, wait: bool) -> None:
    """Keeps the answers to requests of a conversation that has failed: they are paid for.

    Args:
        desks: Those of the conversation; their logs are open.
        wait: Whether to wait for what is still under way. Otherwise only what is there is kept.

    Raises:
        SdgError: A log cannot be written, or the teacher failed with everything under way.
    """
    for teacher in {id(desk.teacher): desk.teacher for desk in desks.values()}.values():
        mine = [desk for desk in desks.values() if desk.teacher is teacher]
        while any(desk.under_way for desk in mine):
            outcomes = teacher.poll(wait=wait)
            for outcome in outcomes:
                any(desk.receive(outcome) for desk in mine)
            if not outcomes:
                break


def converse(
    works: Iterable[Work[ResultT]],
    desks: Mapping[Role, Desk],
    usage: Usage,
    *,
    concurrency: int = 64,
    on_progress: Callable[[int, Usage], None] | None = None,
) -> Iterator[ResultT]:
    """Runs pieces of work to their results.

    Args:
        works: One generator a row, started lazily, in order.
        desks: Who answers each role's requests. Requests found in a desk's log are not sent.
        usage: Filled as completions arrive.
        concurrency: Pieces of work under way at a time.
        on_progress: Called as work ends with the number of results and the usage so far.

    Yields:
        Results in the order of `works`, each as soon as it and all before it are done.

    Raises:
        TeacherError: A teacher cannot work as configured, or refused a request.
        TransientError: A teacher failed, or did not answer a request. What is finished is in the
            log; `settle` keeps what is still under way.
    """
    began = time.monotonic()
    floor = _Floor[ResultT](desks, usage)
    pending = enumerate(works)
    emitted = 0
    exhausted = False
    while not exhausted or floor.busy or floor.done:
        # Before more is started: what a full log answers must not pile up.
        while emitted in floor.done:
            usage.seconds = time.monotonic() - began
            yield floor.done.pop(emitted)
            emitted += 1
            if on_progress:
                on_progress(emitted, usage)
        if not exhausted and floor.busy < concurrency:
            index, work = next(pending, (-1, None))
            if work is None:
                exhausted = True
            else:
                floor.start(index, work)
        elif floor.busy:
            floor.wait()
    usage.seconds = time.monotonic() - began


class _Floor(Generic[ResultT]):
    """Who waits for which completion."""

    def __init__(self, desks: Mapping[Role, Desk], usage: Usage) -> None:
        self.done: dict[int, ResultT] = {}
        self._desks = desks
        self._usage = usage
        self._waiting: dict[int, _Waiting[ResultT]] = {}
        self._asked: dict[str, tuple[Role, list[int]]] = {}

    @property
    def busy(self) -> int:
        return len(self._waiting)

    def start(self, index: int, work: Work[ResultT]) -> None:
        self._advance(index, work, None)

    def wait(self) -> None:
        """Takes what is finished; each distinct teacher that owes something is asked once.

        Raises:
            Exception: What became of a request that failed, once all that came is in the log.
        """
        owing = {id(self._desks[role].teacher): role for role, _ in self._asked.values()}
        for role in owing.values():
            outcomes = self._desks[role].teacher.poll()
            if not outcomes:
                raise TransientError(f"the {role} went idle with requests unanswered")
            # An answer to a conversation that has failed before is nobody's here.
            ours = [outcome for outcome in outcomes if outcome.request_id in self._asked]
            for outcome in ours:  # first of all into the log: a signal may come any moment
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
        """Runs a piece of work on, for as long as the log can answer it."""
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
