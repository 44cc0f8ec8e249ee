"""The speed of `generated` on this machine: against the engine alone, and for a limited time.

`sdg bench` and `sdg tune` measure with it, on the task's own prompts.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.votes import vote_request
from sdg_assets.errors import PermanentError, TeacherError
from sdg_assets.records import Example, GeneratedExample, Rejection, Role
from sdg_assets.settings import Settings
from sdg_assets.stages.generated import WriterKnobs, Written, publish, write
from sdg_assets.stages.seed_index import SeedCopies
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of
from sdg_assets.teacher.backends.engine import BACKEND, EngineTeacher
from sdg_assets.teacher.conversation import Desk, Usage, Work
from sdg_assets.teacher.engine.core import Core
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.requests import Completion, FailedRequest, Request
from sdg_assets.teacher.stream import converse

GOAL = 0.97
"""Least share of the engine's own speed that a stage must reach."""
WARM_UP_TOKENS = 8
ROUNDS = 1_000_000
"""New examples per seed, so that requests never end."""
SETTLING = 10
"""How many times the measured seconds an engine may take to settle: see `rate`."""


class RecordingTeacher(EngineTeacher):
    """The real engine, which records the requests that it computes."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:  # noqa: ANN401 – as EngineTeacher
        """Starts without requests; for the arguments see `EngineTeacher`."""
        super().__init__(*arguments, **keywords)
        self.requests: list[Request] = []

    def submit(self, request: Request) -> None:
        """Hands the request to the engine, and records it unless it is too long."""
        super().submit(request)
        if request.id in self._submitted:
            self.requests.append(request)


def recording_teacher(settings: Settings) -> RecordingTeacher:
    """The writer of the settings, as an engine on this machine that records its requests.

    Raises:
        TeacherError: The writer is not a model that this machine loads.
    """
    spec = TeacherSpec.of(settings, Role.WRITER)
    if backend_of(spec) is not BACKEND:
        raise TeacherError(
            f"teacher {spec.name!r} runs elsewhere: set SDG_TEACHER to a model that this machine "
            "loads, a key of teachers.yaml, a hub id or a directory"
        )
    resolved = resolve(spec.name, catalog=spec.catalog)
    return RecordingTeacher(resolved, spec.stalled_seconds, spec.concurrency, **spec.engine)


@dataclass(frozen=True)
class Speed:
    """Output tokens of one way of working, and what they cost.

    Attributes:
        tokens: Output tokens.
        seconds: Wall clock.
        cpu_seconds: CPU time of this process.
        steps: Steps of an engine in this process.
        step_seconds: Their CPU time.
    """

    tokens: int
    seconds: float
    cpu_seconds: float
    steps: int = 0
    step_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Output tokens per second of wall clock."""
        return self.tokens / self.seconds

    def cost(self, step_seconds: float) -> float:
        """CPU seconds of an output token, if each step of the engine takes `step_seconds`."""
        outside = self.cpu_seconds - self.step_seconds
        return (self.steps * step_seconds + outside) / self.tokens


@dataclass(frozen=True)
class Comparison:
    """A stage and the engine alone, on the same prompts and the same engine."""

    stage: Speed
    engine: Speed
    rows: int
    """Of each run of the stage."""
    capacity: int
    """Requests that the stage had under way at the end."""
    cache_hit_rate: float
    in_process: bool
    """Whether the engine computes in this process."""

    @property
    def ratio(self) -> float:
        """Stage ÷ engine.

        In one process it compares CPU time, and takes every step of the engine for as long as the
        mean of all: that a step takes longer is not the stage's doing, but that it needs more
        steps, and what it computes outside of them. The same 130 steps took from 38 to 45 s within
        minutes, outside of them the stage took 0.1 s. An engine in its own process is compared by
        wall clock.
        """
        if self.in_process:
            both = (self.stage, self.engine)
            step = sum(run.step_seconds for run in both) / sum(run.steps for run in both)
            return self.engine.cost(step) / self.stage.cost(step)
        return self.stage.per_second / self.engine.per_second


def compare(
    teacher: RecordingTeacher,
    spec: SubtaskSpec,
    seeds: Sequence[Example],
    *,
    requests: int,
    max_tokens: int,
    thinking: str = "",
) -> Comparison:
    """Measures the stage and the engine alone, twice each, on the same prompts.

    The order is stage, engine, engine, stage, so that a machine that becomes slower in the meantime
    slows both alike. Before them the stage runs once without being counted: the engine is still
    preparing the forms of its answers, and needed 170 steps instead of 130. Sampling is greedy, so
    that both write the same answers, and the prefix cache is emptied before each run.

    Args:
        teacher: The engine.
        spec: The subtask.
        seeds: Its normalized examples.
        requests: Number of requests.
        max_tokens: Longest answer, in tokens.
        thinking: Thinking mode; empty: the model's default.

    Raises:
        TeacherError: No prompt fits into the model's context.
    """
    _warm_up(teacher, spec, seeds)
    each = max(1, ceil(requests / len(seeds)))
    knobs = WriterKnobs(each, temperature=0.0, max_tokens=max_tokens, thinking=thinking)
    core = teacher.core
    usage, stage_time, engine_time, tokens = Usage(), _Stopwatch(core), _Stopwatch(core), 0

    def run_stage(usage: Usage, stopwatch: _Stopwatch) -> int:
        core.forget()
        teacher.requests.clear()
        with stopwatch, _desk(teacher) as desk:
            works = itertools.islice(write(spec, seeds, teacher, knobs), requests)
            return sum(1 for _ in converse(works, {Role.WRITER: desk}, usage))

    run_stage(Usage(), _Stopwatch(core))
    run_stage(usage, stage_time)
    if not teacher.requests:
        raise _nothing_fits(spec, teacher)
    capacity = teacher.capacity
    prompts = [teacher.prompt(request) for request in teacher.requests]
    parameters = [teacher.parameters(request) for request in teacher.requests]
    for _ in range(2):
        core.forget()
        with engine_time:
            outputs = core.generate(prompts, parameters)
        tokens += sum(len(output.outputs[0].token_ids) for output in outputs)
    rows = run_stage(usage, stage_time)
    return Comparison(
        stage=stage_time.speed(usage.output_tokens),
        engine=engine_time.speed(tokens),
        rows=rows,
        capacity=capacity,
        cache_hit_rate=usage.cache_hit_rate,
        in_process=teacher.computes_here,
    )


@dataclass(frozen=True)
class Rate:
    """What an engine wrote in a limited time.

    Attributes:
        tokens_per_second: Output tokens per second, those of unfinished answers included.
        accepted_per_second: Rows that parse and pass the draft gates, per second: their share of
            the finished answers' tokens, at this speed. None if no answer was finished.
        finished: Finished answers of writer and solver.
        accepted: Finished drafts that became rows.
        capacity: Requests under way at the end.
        settled: Whether answers of all lengths were under way when the time began: see `rate`.
    """

    tokens_per_second: float
    accepted_per_second: float | None
    finished: int
    accepted: int
    capacity: int
    settled: bool = True


def rate(
    teacher: EngineTeacher,
    spec: SubtaskSpec,
    seeds: Sequence[Example],
    knobs: WriterKnobs,
    seconds: float,
    solver: SolverKnobs | None = None,
) -> Rate:
    """Measures the engine as it is in the midst of a partition, with its batch always full.

    At first all answers are young and the KV cache is nearly empty, so that an engine with too many
    sequences looks fast; later their thoughts fill the cache, and it recomputes those that it had
    to evict. The time therefore begins when as many answers are finished as are under way, but
    after `SETTLING` times `seconds` at the latest. It then lasts as long as that took: answers that
    began together still end together, so that a shorter time sees a crest or a trough. In a
    simulated engine of 270 tokens/s the first 10 s show 633, 10 s after it settled 186.

    Args:
        teacher: The engine; it is started and warmed up before the time begins.
        spec: The subtask.
        seeds: Its normalized examples, used again and again.
        knobs: The writer's settings.
        seconds: The time, at least.
        solver: The solver's settings, if it is the same teacher: a draft is then followed by the
            votes on a question. None: only drafts are asked for.

    Raises:
        SdgError: The engine does not start, or fails.
    """
    _warm_up(teacher, spec, seeds)
    batch = _FullBatch(teacher, _asking(teacher, spec, seeds, knobs, solver), len(seeds))
    try:
        began = time.monotonic()
        batch.run(SETTLING * seconds, until_settled=True)
        settled, took = batch.is_settled, time.monotonic() - began
        per_second = batch.run(max(seconds, took) if settled else seconds)
    except _NothingFitsError:
        raise _nothing_fits(spec, teacher) from None
    rows = publish(spec, SeedCopies(seeds), batch.written, teacher)
    accepted = sum(isinstance(row, GeneratedExample) for row in rows)
    return Rate(
        tokens_per_second=per_second,
        accepted_per_second=accepted * per_second / batch.tokens if batch.tokens else None,
        finished=batch.finished,
        accepted=accepted,
        capacity=teacher.capacity,
        settled=settled,
    )


class _NothingFitsError(Exception):
    """Many prompts of the writer in a row were too long."""


class _FullBatch:
    """An engine whose batch is kept full, and what it finished in the last `run`."""

    def __init__(
        self, teacher: EngineTeacher, asking: Iterator[tuple[Work[Any], Request]], seeds: int
    ) -> None:
        self._teacher, self._asking, self._seeds = teacher, asking, seeds
        self._open: dict[str, Work[Any]] = {}
        self._misfits = 0
        self._forget()

    def _forget(self) -> None:
        self.finished, self.tokens = 0, 0
        self.written: list[Written | Rejection] = []

    @property
    def is_settled(self) -> bool:
        """Whether as many answers are finished as are under way."""
        return self.finished >= self._teacher.capacity

    def run(self, seconds: float, *, until_settled: bool = False) -> float:
        """Lets the engine work for a limited time, or until it has settled.

        Returns:
            Output tokens per second, those of unfinished answers included.

        Raises:
            SdgError: The engine fails.
        """
        self._forget()
        began, tokens_before = time.monotonic(), self._teacher.tokens
        self._teacher.wait_until = end = began + seconds
        while time.monotonic() < end and not (until_settled and self.is_settled):
            while len(self._open) < self._teacher.capacity:
                self._submit(*next(self._asking))
            for outcome in self._teacher.poll():
                self._take(outcome)
        return (self._teacher.tokens - tokens_before) / (time.monotonic() - began)

    def _submit(self, work: Work[Any], request: Request) -> None:
        self._open[request.id] = work
        self._teacher.submit(request)

    def _take(self, outcome: Completion | FailedRequest) -> None:
        if isinstance(outcome, FailedRequest):
            raise outcome.error
        if outcome.request_id not in self._open:  # left over from the warm-up
            return
        work = self._open.pop(outcome.request_id)
        try:
            for request in work.send([outcome]):  # with fewer seeds: it was too long
                self._submit(work, request)
        except StopIteration as ended:
            self._note(ended.value, outcome)

    def _note(self, result: Written | Rejection | None, outcome: Completion) -> None:
        if outcome.finish_reason != "too_long":
            self.finished += 1
            self.tokens += outcome.output_tokens
        if result is None:  # a vote
            return
        self.written.append(result)
        self._misfits = self._misfits + 1 if outcome.finish_reason == "too_long" else 0
        if self._misfits > self._seeds:
            raise _NothingFitsError


def _asking(
    teacher: EngineTeacher,
    spec: SubtaskSpec,
    seeds: Sequence[Example],
    knobs: WriterKnobs,
    solver: SolverKnobs | None,
) -> Iterator[tuple[Work[Any], Request]]:
    """Work over all seeds, again and again, with its request: each has an id of its own.

    Each draft is followed by as many votes as a row gets.
    """
    rounds = replace(knobs, examples_per_seed=ROUNDS)
    votes = _voting(teacher, seeds, solver) if solver else iter(())
    for work in write(spec, seeds, teacher, rounds, round_robin=True):
        for request in next(work, []):  # a seed with a control token makes no request
            yield work, request
            yield from itertools.islice(votes, solver.votes if solver else 0)


def _voting(
    teacher: EngineTeacher, seeds: Sequence[Example], solver: SolverKnobs
) -> Iterator[tuple[Work[Any], Request]]:
    """Votes on the seeds' own questions; those on one question follow each other."""
    for first in itertools.count(0, solver.votes):
        for seed in seeds:
            row = _as_row(seed, teacher)
            for number in range(first, first + solver.votes):
                _, request = vote_request(row, number, teacher, solver)
                work = _vote(request)
                next(work)
                yield work, request


def _vote(request: Request) -> Work[None]:
    yield [request]


def _as_row(seed: Example, teacher: EngineTeacher) -> GeneratedExample:
    """A seed as if it had been written: a solver sees only the question."""
    return GeneratedExample(
        **dict(seed),
        seed_ids=[seed.id],
        teacher=teacher.identity.stamp,
        prompt_version="",
        variation="",
        completion_id="",
    )


def _nothing_fits(spec: SubtaskSpec, teacher: EngineTeacher) -> TeacherError:
    return TeacherError(
        f"{spec.task}/{spec.key}: no seed fits into {teacher.max_model_len} tokens; raise the "
        "teacher's max_model_len"
    )


def _warm_up(teacher: EngineTeacher, spec: SubtaskSpec, seeds: Sequence[Example]) -> None:
    """Starts the engine and compiles the grammar, so that no measurement pays for it.

    A GPU also gets its first full batch here: a stage that ran first, with one wave of 1,024
    requests of 15 s, reached 0.88 of the engine on an H100, and 1.07 on an H200.
    """
    if not seeds:
        raise PermanentError(f"{spec.task}/{spec.key}: no seed is left to make prompts of")
    teacher.start()
    batch = 1 if teacher.computes_here else teacher.capacity
    knobs = WriterKnobs(ceil(batch / len(seeds)), max_tokens=WARM_UP_TOKENS, temperature=0.5)
    with _desk(teacher) as desk:
        works = itertools.islice(write(spec, seeds, teacher, knobs), batch)
        list(converse(works, {Role.WRITER: desk}, Usage()))


@contextmanager
def _desk(teacher: EngineTeacher) -> Iterator[Desk]:
    """A desk whose log is in a temporary directory."""
    with (
        tempfile.TemporaryDirectory() as folder,
        CompletionLog(Path(folder) / "log.jsonl") as log,
    ):
        yield Desk(teacher, log)


class _Stopwatch:
    """The wall clock, CPU time and engine steps of one or several blocks."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._spent: tuple[float, ...] = (0.0, 0.0, 0.0)
        self._steps = 0

    def __enter__(self) -> _Stopwatch:
        self._began, self._first = self._now(), self._core.steps
        return self

    def __exit__(self, *failure: object) -> None:
        parts = zip(self._spent, self._began, self._now(), strict=True)
        self._spent = tuple(spent + now - began for spent, began, now in parts)
        self._steps += self._core.steps - self._first

    def _now(self) -> tuple[float, float, float]:
        return time.monotonic(), time.process_time(), self._core.step_seconds

    def speed(self, tokens: int) -> Speed:
        wall, cpu, in_steps = self._spent
        return Speed(tokens, wall, cpu, self._steps, in_steps)
