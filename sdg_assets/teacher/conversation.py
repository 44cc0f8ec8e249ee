"""Teacher work: what a row asks, where the answers are kept, and what they cost.

The work on one row is a generator. It yields the requests that it needs next and receives their
completions, until it returns its result. `teacher.stream.fill` runs such generators against
teachers and only keeps completions; `teacher.replay.replay` runs them again, from the logs.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from sdg_assets.errors import SdgError
from sdg_assets.records import Role
from sdg_assets.teacher.budget import Budget
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import (
    Completion,
    FailedRequest,
    Request,
    Teacher,
)
from sdg_assets.teacher.spent import RoleUsage

ResultT = TypeVar("ResultT")
Work = Generator[list[Request], list[Completion], ResultT]


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
    reasoning_tokens: int = 0
    """Tokens of thoughts; part of `output_tokens`."""
    seconds: float = 0.0
    unfinished: int = 0
    """Rows that were given up because the budget was used up."""
    finish_reasons: Counter[str] = field(default_factory=Counter)
    roles: dict[Role, RoleUsage] = field(default_factory=dict)

    @property
    def tokens_per_second(self) -> float:
        """Output tokens per second of wall clock; 0 if nothing was asked."""
        return self.output_tokens / self.seconds if self.seconds else 0.0

    @property
    def cache_hit_rate(self) -> float:
        """Share of prompt tokens found in the engine's prefix cache, from 0 to 1."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    def plain(self) -> dict[str, Any]:
        """All counts by name, in JSON's types."""
        roles = {role.value: asdict(usage) for role, usage in sorted(self.roles.items())}
        return {**vars(self), "finish_reasons": dict(self.finish_reasons), "roles": roles}

    def add(self, completion: Completion) -> None:
        """Counts a new completion, one that was not in the log."""
        self.requests += 1
        self.prompt_tokens += completion.prompt_tokens
        self.cached_tokens += completion.cached_tokens
        self.output_tokens += completion.output_tokens
        self.reasoning_tokens += completion.reasoning_tokens
        self.finish_reasons[completion.finish_reason] += 1

    def reuse(self, completion: Completion) -> None:
        """Counts a completion that was in the log."""
        self.reused += 1
        self.reused_tokens += completion.output_tokens

    def merge(self, other: Usage) -> None:
        """Adds the cost of another loop, which ran after this one."""
        self.requests += other.requests
        self.reused += other.reused
        self.reused_tokens += other.reused_tokens
        self.prompt_tokens += other.prompt_tokens
        self.cached_tokens += other.cached_tokens
        self.output_tokens += other.output_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.seconds += other.seconds
        self.unfinished += other.unfinished
        self.finish_reasons.update(other.finish_reasons)
        for role, usage in other.roles.items():
            own = self.of(role, usage.model)
            own.new.merge(usage.new)
            own.kept.merge(usage.kept)

    def of(self, role: Role, model: str) -> RoleUsage:
        """What one role's teacher answered; empty at first."""
        return self.roles.setdefault(role, RoleUsage(model))


@dataclass(frozen=True)
class Desk:
    """A role's teacher and the log of its answers."""

    teacher: Teacher
    log: CompletionLog
    under_way: set[str] = field(default_factory=set)
    """Ids of the requests that the teacher has not answered yet."""
    is_final: bool = False
    """Whether what the log says is all there will be: others have asked the teacher."""

    def has(self, request: Request) -> bool:
        """Whether the log answers the request.

        What a limit ended is asked again if that limit has grown since, or if a prompt whose length
        is known fits now. The new answer takes the place of the old one.
        """
        if request.id not in self.log:
            return False
        if self.is_final:
            return True
        completion = self.log.get(request.id)
        if completion.finish_reason == "too_long" and completion.prompt_tokens:
            needed = completion.prompt_tokens + request.limits.output
            return needed > self.teacher.max_model_len
        return not completion.outgrown_by(request.limits)

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
        budget: Once it is used up, work that needs another answer is given up; None: no limit.
    """

    works: Iterable[Work[Any] | None]
    desks: Desks
    usage: Usage
    on_progress: Callable[[int, Usage], None] | None = None
    runs_programs: bool = False
    error: Exception | None = None
    budget: Budget | None = None

    def __post_init__(self) -> None:
        """Starts with nothing done."""
        self.done = 0
        self.usage_by_role: dict[Role, Usage] = defaultdict(Usage)
        """The counts of `usage` by role, without the seconds: roles work at the same time."""
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

    def give_up(self, work: Work[Any]) -> None:
        """Ends a piece of work that needs answers which the budget does not pay for."""
        work.close()
        self.open -= 1
        self.usage.unfinished += 1

    def fail(self, error: Exception) -> None:
        """Ends the feed; requests under way are still waited for and logged."""
        self.error = self.error or error
        self.open = 0

    def count(self, completion: Completion, role: Role) -> None:
        """Adds a new completion to the usage, and to what is spent of the budget."""
        self.usage.add(completion)
        self.usage_by_role[role].add(completion)
        self._spent(role).new.add(completion)
        self.tick()
        if self.budget:
            try:
                self.budget.spend(completion)
            except SdgError as error:
                self.fail(error)

    def reuse(self, completion: Completion, role: Role) -> None:
        """Adds a completion that was in the log to the usage."""
        self.usage.reuse(completion)
        self.usage_by_role[role].reuse(completion)
        self._spent(role).kept.add(completion)

    def _spent(self, role: Role) -> RoleUsage:
        return self.usage.of(role, self.desks[role].teacher.identity.stamp.model)

    def tick(self) -> None:
        """Notes that the teacher works for this feed."""
        now = time.monotonic()
        self._began = now if self._began is None else self._began
        self.usage.seconds = now - self._began


def settle(desks: Iterable[Desk], *, wait: bool) -> None:
    """Adds the outstanding answers of failed conversations to the logs: they are paid for.

    Args:
        desks: All desks that wait for answers; their logs are open. A teacher returns each answer
            once, so the desks of all open partitions must be settled together.
        wait: Whether to wait for requests under way. Otherwise only finished answers are kept.

    Raises:
        SdgError: A log cannot be written, or the teacher failed with all requests under way.
    """
    waiting = list(desks)
    for teacher in {id(desk.teacher): desk.teacher for desk in waiting}.values():
        its_desks = [desk for desk in waiting if desk.teacher is teacher]
        while any(desk.under_way for desk in its_desks):
            outcomes = teacher.poll(wait=wait)
            for outcome in outcomes:
                for desk in its_desks:
                    desk.receive(outcome)
            if not outcomes:
                break


def captured(work: Work[ResultT], results: dict[int, ResultT], index: int) -> Work[ResultT]:
    """The same work, which also stores its result in `results` under `index`."""
    result = yield from work
    results[index] = result
    return result


def observed(
    work: Work[ResultT],
    see: Callable[[list[Request], list[Completion]], object] | None = None,
    *,
    before: Callable[[list[Request]], object] | None = None,
) -> Work[ResultT]:
    """The same work, whose requests and completions others see, too.

    Args:
        work: The work.
        see: Called with requests and their completions, before the work continues.
        before: Called with requests before they are sent; what it raises ends the work.
    """
    answers: list[Completion] | None = None
    while True:
        try:
            requests = next(work) if answers is None else work.send(answers)
        except StopIteration as finished:
            result: ResultT = finished.value
            return result
        if before:
            before(requests)
        answers = yield requests
        if see:
            see(requests, answers)
