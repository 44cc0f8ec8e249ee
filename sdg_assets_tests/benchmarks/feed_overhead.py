"""What the pipeline costs outside the engine: fill, publish, and the memory of the loop.

The teacher answers at once, but tokenizes every prompt with a real tokenizer, as an engine does.
Its drafts are real rows of the same dataset, its votes end in the right answer.

A partition is published three times by this process alone, and three times with the pool of
processes that a run has (one a CPU; started before, as a run does while teachers are asked); the
best counts, because other work on the machine only makes it slower. Figures of one process are its
CPU time. The pool's rows/s are by the wall clock; its CPU time, of all processes together, shows
what a machine without other work would reach.

One machine is a third slower than another, or than itself an hour before. So fixed work is timed in
turn with each part (see `reference_core`), and a goal is met if this core reaches it, or if the
reference core would.

    python -m sdg_assets_tests.benchmarks.feed_overhead [--rows 2000]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from sdg_assets.answers import answer_format
from sdg_assets.catalog import SubtaskSpec, load_catalog
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.processes.pool import Pool
from sdg_assets.records import (
    EnrichedExample,
    Example,
    GeneratedExample,
    Rejection,
    Role,
    TeacherStamp,
)
from sdg_assets.stages import enriched, generated
from sdg_assets.stages.enriched import EnrichmentReport
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.published import solved_rows, warm_up, written_rows
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.conversation import Desk, Feed, Usage, Work
from sdg_assets.teacher.encoding import ChatEncoder
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.requests import Completion, FailedRequest, Request, TeacherIdentity
from sdg_assets.teacher.stream import fill
from sdg_assets.thresholds import DEFAULTS
from sdg_assets_tests.benchmarks import mirror
from sdg_assets_tests.benchmarks.reference_core import REPETITIONS, ReferenceWork

RowT = TypeVar("RowT", bound=Example)
SUBTASKS = (("gsm8k", "gsm8k"), ("arc", "arc_easy"), ("boolq", "boolq"))
HELD = 1024
"""Requests under way in the measurement of memory."""
GOALS = {
    "fill, ms a completion": 1.5,
    "fill, completions/s": 600.0,
    "publish, rows/s": 3000.0,
    "memory of 1,024 requests, MiB": 1024.0,
}


class InstantTeacher:
    """Tokenizes each prompt, then answers from a script."""

    max_model_len = 32_768
    capacity = HELD

    def __init__(self, encoder: ChatEncoder) -> None:
        self.identity = TeacherIdentity(TeacherStamp(model="instant", revision="1", license="MIT"))
        self.control_tokens = encoder.control_tokens
        self.drafts: Iterator[str] = iter(())
        self.answers: dict[str, str] = {}
        self.most = 0
        self._encoder = encoder
        self._open: deque[Completion] = deque()

    def submit(self, request: Request) -> None:
        tokens = len(self._encoder.encode(request.messages))
        text = next(self.drafts) if request.role is Role.WRITER else self._say(request)
        self._open.append(
            Completion(
                request_id=request.id,
                text=text,
                finish_reason="stop",
                prompt_tokens=tokens,
                output_tokens=len(text) // 4,
            )
        )
        self.most = max(self.most, len(self._open))

    def _say(self, request: Request) -> str:
        if request.prompt_version.startswith("knowledge/"):
            return "Facts of this kind are learned at school. They help with many other questions."
        lines = request.messages[-1].content.splitlines()
        answer = next(self.answers[line] for line in lines if line in self.answers)
        reasoning = "The question names what is given. From that the rest follows."
        if request.json_schema:  # the engine would enforce it
            return json.dumps({"reasoning": reasoning, "answer": answer})
        return f"{reasoning}\nAnswer: {answer}"

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        return [self._open.popleft() for _ in range(min(32, len(self._open)))]


@dataclass
class Figures:
    """CPU seconds and counts of one stage, over all subtasks."""

    completions: int = 0
    fill_seconds: float = 0.0
    fill_reference: float = 0.0
    """Seconds that the reference core would take."""
    rows: int = 0
    accepted: int = 0
    publish_seconds: float = 0.0
    pool_seconds: float = 0.0
    """Wall-clock seconds of the pool."""
    pool_reference: float = 0.0
    """Seconds that it would take on reference cores."""
    pool_cpu_seconds: float = 0.0
    """CPU seconds of all its processes."""
    parts: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        name: str,
        usage: Usage,
        filled: tuple[float, float],
        alone: _Published[Any],
        pooled: _Published[Any],
        slowness: float,
    ) -> None:
        """Adds the figures of one subtask.

        Args:
            name: The subtask.
            usage: Its requests.
            filled: CPU seconds of the fill, here and on the reference core.
            alone: Published by one process.
            pooled: Published by the pool.
            slowness: Of this core while it was published.
        """
        self.completions += usage.requests
        self.fill_seconds += filled[0]
        self.fill_reference += filled[1]
        self.rows += len(alone.rows)
        self.accepted += sum(isinstance(row, Example) for row in alone.rows)
        self.publish_seconds += alone.cpu
        self.pool_seconds += pooled.wall
        self.pool_reference += pooled.wall / slowness
        self.pool_cpu_seconds += pooled.cpu
        self.parts[name] = (
            f"{1000 * filled[0] / usage.requests:.2f} ms a completion, "
            f"{len(alone.rows) / alone.cpu:,.0f} rows/s alone, "
            f"{len(pooled.rows) / pooled.wall:,.0f} rows/s with the pool"
        )


@dataclass(frozen=True)
class _Published(Generic[RowT]):
    """A published partition, and the seconds that it took."""

    rows: list[RowT | Rejection]
    sha256: tuple[str, str]
    cpu: float
    wall: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", default="qwen2.5-coder-1.5b", help="whose tokenizer counts")
    parser.add_argument("--rows", type=int, default=2000, help="rows of each subtask")
    arguments = parser.parse_args()
    from transformers import AutoTokenizer

    path = resolve(arguments.teacher).path_or_id
    encoder = ChatEncoder(AutoTokenizer.from_pretrained(path), path)
    writer, solver, reference = Figures(), Figures(), ReferenceWork()
    most = 0
    with tempfile.TemporaryDirectory() as folder, Pool(warm_up=warm_up) as pool:
        pool.prepare(arguments.rows)
        for task, subtask in SUBTASKS:
            spec = load_catalog().subtask(task, subtask)
            seeds = _seeds(spec, arguments.rows)
            # The models of the gates are loaded, and prompts compiled, once in a process.
            own = Path(folder) / subtask
            warming = _Bench(spec, InstantTeacher(encoder), own / "warm-up", reference)
            _solved(warming, _examples(_written(warming, seeds[:8], Figures())), Figures())
            bench = _Bench(spec, InstantTeacher(encoder), own, reference, pool)
            _solved(bench, _examples(_written(bench, seeds, writer)), solver)
            most = max(most, bench.teacher.most)
    figures: dict[str, tuple[float, float]] = {}
    for name, stage in (("writer", writer), ("solver", solver)):
        each = 1000 * stage.fill_seconds / stage.completions
        there = 1000 * stage.fill_reference / stage.completions
        figures[f"{name}: fill, ms a completion"] = each, there
        figures[f"{name}: fill, completions/s"] = 1000 / each, 1000 / there
        rates = stage.rows / stage.pool_seconds, stage.rows / stage.pool_reference
        figures[f"{name}: publish, rows/s"] = rates
        print(f"{name}: {stage.completions} completions, {stage.accepted} of {stage.rows} rows")
        for part, text in stage.parts.items():
            print(f"  {part}: {text}")
        alone, together = (
            stage.rows / seconds for seconds in (stage.publish_seconds, stage.pool_cpu_seconds)
        )
        print(
            f"  publish: {alone:,.0f} rows per CPU second alone, {together:,.0f} with the pool of "
            f"{pool.processes} processes: {pool.processes * together:,.0f} rows/s if each had a "
            f"CPU of its own, {pool.processes * together / alone:.2f} times one process"
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures[f"loop: memory of {HELD:,} requests, MiB"] = memory, memory
    if most < HELD:
        raise SystemExit(f"only {most} requests were under way at a time, not {HELD}")
    missed = []
    for name, (here, there) in figures.items():
        goal = GOALS[name.partition(": ")[2]]
        reached = max(here, there) >= goal if name.endswith("/s") else min(here, there) <= goal
        print(
            f"{name}: {here:,.2f}, {there:,.2f} on the reference core (goal {goal:,g})"
            f"{'' if reached else ' – missed'}"
        )
        missed += [] if reached else [name]
    if missed:
        raise SystemExit(f"missed: {', '.join(missed)}")


@dataclass(frozen=True)
class _Bench:
    """What the partitions of a subtask are made with."""

    spec: SubtaskSpec
    teacher: InstantTeacher
    folder: Path
    reference: ReferenceWork
    pool: Pool = field(default_factory=lambda: Pool(1))


def _seeds(spec: SubtaskSpec, count: int) -> list[Example]:
    """Rows of the mirror, of all splits: it holds few training rows of boolq."""
    splits = (spec.split, *spec.heldout_splits)
    rows = itertools.chain.from_iterable(mirror.examples(spec, split) for split in splits)
    return list(itertools.islice(rows, count))


def _examples(rows: list[GeneratedExample | Rejection]) -> list[GeneratedExample]:
    return [row for row in rows if isinstance(row, GeneratedExample)]


def _written(
    bench: _Bench, seeds: list[Example], figures: Figures
) -> list[GeneratedExample | Rejection]:
    """Every draft is another seed, with other words at its beginning."""
    spec, teacher, knobs = bench.spec, bench.teacher, WriterKnobs()
    kind = answer_format(spec.answer_kind)
    others = (
        seed.model_copy(update={"question": f"On day {number}, {seed.question}"})
        for number, seed in enumerate(itertools.cycle(reversed(seeds)))
    )
    drafts = [kind.draft_of(next(others)).model_dump_json() for _ in seeds]
    teacher.drafts = iter(drafts)
    works = generated.write(spec, seeds, teacher, knobs)

    def published(log: CompletionLog, pool: Pool) -> Iterator[GeneratedExample | Rejection]:
        answers = {Role.WRITER: log.answers()}
        return written_rows(spec, seeds, teacher, knobs, answers, DEFAULTS, pool)

    return _measured(bench, Role.WRITER, works, published, figures)


def _solved(bench: _Bench, examples: list[GeneratedExample], figures: Figures) -> None:
    teacher, knobs = bench.teacher, SolverKnobs()
    teacher.answers = {e.question.splitlines()[0]: e.answer for e in examples}
    works = enriched.enrich(examples, teacher, knobs)

    def published(log: CompletionLog, pool: Pool) -> Iterator[EnrichedExample | Rejection]:
        answers, report = {Role.SOLVER: log.answers()}, EnrichmentReport()
        count = len(examples)
        return solved_rows(examples, count, teacher, knobs, None, answers, report, DEFAULTS, pool)

    _measured(bench, Role.SOLVER, works, published, figures)


def _measured(
    bench: _Bench,
    role: Role,
    works: Iterator[Work[Any]],
    published: Callable[[CompletionLog, Pool], Iterator[RowT | Rejection]],
    figures: Figures,
) -> list[RowT | Rejection]:
    folder = bench.folder / role
    folder.mkdir(parents=True)
    with CompletionLog(folder / "log.jsonl") as log:
        before, usage, began = bench.reference.slowness(), Usage(), time.process_time()
        (feed,) = fill([Feed(works, {role: Desk(bench.teacher, log)}, usage)], concurrency=HELD)
        filled = time.process_time() - began
        at_fill = (before + bench.reference.slowness()) / 2
        if feed.error:
            raise feed.error

        def timed(pool: Pool) -> _Published[RowT]:
            cpu, wall = _cpu_seconds(), time.monotonic()
            rows = list(published(log, pool))
            key = PartitionKey(bench.spec.task, "any", bench.spec.key)
            with Store(folder / "store").write(key) as out:
                for row in rows:
                    out.put(row)
            hashes = out.sha256, out.rejected_sha256
            return _Published(rows, hashes, _cpu_seconds() - cpu, time.monotonic() - wall)

        turns = [
            (timed(Pool(1)), timed(bench.pool), bench.reference.slowness())
            for _ in range(REPETITIONS)
        ]
    alone = min((each for each, _, _ in turns), key=lambda published: published.cpu)
    pooled = min((each for _, each, _ in turns), key=lambda published: published.wall)
    slowness = min(each for _, _, each in turns)
    if alone.sha256 != pooled.sha256:
        raise SystemExit(f"{bench.spec.key}: the pool made other rows than one process")
    figures.add(bench.spec.key, usage, (filled, filled / at_fill), alone, pooled, slowness)
    return alone.rows


def _cpu_seconds() -> float:
    """CPU seconds so far, of this process and of those that it started."""
    seconds = time.process_time()
    for file in Path("/proc/self/task").glob("*/children"):
        for child in file.read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


if __name__ == "__main__":
    main()
