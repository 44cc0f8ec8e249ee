"""What the pipeline costs outside the engine: fill, publish, and the memory of the loop.

The teacher answers at once, but tokenizes every prompt with a real tokenizer, as an engine does.
Its drafts are real rows of the same dataset, its votes end in the right answer.

A partition is published five times by this process alone, and five times with a pool of two
processes, as a run on two CPUs has it (started before, as a run does while teachers are asked).
Times are CPU times; those of the pool are of its busiest process, which is what the wall clock
would show if each process had a CPU of its own. On a machine with other work that clock shows
anything, so it is printed, and not a goal.

One machine is a third slower than another, or than itself a minute before. So fixed work is timed
before and after each part (see `reference_core`). Of this core the best repetition counts, because
other work only makes it slower; of the reference core the median. A goal is met if this core
reaches it, or if the reference core would.

    python -m sdg_assets_tests.benchmarks.feed_overhead [--rows 2000]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

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
from sdg_assets_tests.benchmarks.reference_core import RowWork

RowT = TypeVar("RowT", bound=Example)
SUBTASKS = (("gsm8k", "gsm8k"), ("arc", "arc_easy"), ("boolq", "boolq"))
REPETITIONS = 5
PROCESSES = 2
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
    gpus = 1
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
    """Seconds that the reference core would take; so for the others."""
    rows: int = 0
    accepted: int = 0
    alone_reference: float = 0.0
    """Of one process that publishes."""
    pool_seconds: float = 0.0
    """Of the busiest process of the pool that publishes."""
    pool_reference: float = 0.0
    pool_clock: float = 0.0
    """Wall-clock seconds of the pool."""
    parts: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        name: str,
        usage: Usage,
        filled: _Seconds,
        rows: Sequence[Any],
        alone: Sequence[_Seconds],
        pooled: Sequence[_Seconds],
        clock: float,
    ) -> None:
        """Adds the figures of one subtask.

        Args:
            name: The subtask.
            usage: Its requests.
            filled: The time of the fill.
            rows: What was published.
            alone: Times of one process that published it.
            pooled: Times of the busiest process of the pool.
            clock: Wall-clock seconds of the pool, the best.
        """
        self.completions += usage.requests
        self.fill_seconds += filled.here
        self.fill_reference += filled.there
        self.rows += len(rows)
        self.accepted += sum(isinstance(row, Example) for row in rows)
        self.pool_seconds += min(each.here for each in pooled)
        one, pool = (statistics.median(s.there for s in seconds) for seconds in (alone, pooled))
        self.alone_reference += one
        self.pool_reference += pool
        self.pool_clock += clock
        self.parts[name] = (
            f"{1000 * filled.there / usage.requests:.2f} ms a completion, "
            f"{len(rows) / one:,.0f} rows/s alone, {len(rows) / pool:,.0f} with the pool"
        )


@dataclass(frozen=True)
class _Seconds:
    """CPU seconds of a piece of work."""

    here: float
    slowness: tuple[float, float]
    """Of this core, before and after the work."""

    @property
    def there(self) -> float:
        """Seconds that the reference core would take."""
        return self.here / statistics.mean(self.slowness)


@dataclass(frozen=True)
class _Published:
    """The hashes of a published partition, and the seconds that it took."""

    sha256: tuple[str, str]
    busiest: float
    """CPU seconds of the process that worked longest."""
    clock: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", default="qwen2.5-coder-1.5b", help="whose tokenizer counts")
    parser.add_argument("--rows", type=int, default=2000, help="rows of each subtask")
    arguments = parser.parse_args()
    from transformers import AutoTokenizer

    path = resolve(arguments.teacher).path_or_id
    encoder = ChatEncoder(AutoTokenizer.from_pretrained(path), path)
    writer, solver, reference = Figures(), Figures(), RowWork()
    most = 0
    with tempfile.TemporaryDirectory() as folder, Pool(PROCESSES, warm_up) as pool:
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
        print(
            f"{name}: {stage.completions} completions, {stage.accepted} of {stage.rows} rows; "
            f"on the reference core:"
        )
        for part, text in stage.parts.items():
            print(f"  {part}: {text}")
        print(
            f"  publish: {stage.rows / stage.alone_reference:,.0f} rows/s alone, with the pool "
            f"{stage.alone_reference / stage.pool_reference:.2f} times as many; here by the clock "
            f"{stage.rows / stage.pool_clock:,.0f} rows/s"
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
    reference: RowWork
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
        took = time.process_time() - began
        slowness = [bench.reference.slowness()]
        filled = _Seconds(took, (before, slowness[0]))
        if feed.error:
            raise feed.error

        def timed(pool: Pool) -> tuple[list[RowT | Rejection], _Published]:
            cpu, began = _cpu_seconds(), time.monotonic()
            rows = list(published(log, pool))
            key = PartitionKey(bench.spec.task, "any", bench.spec.key)
            with Store(folder / "store").write(key) as out:
                for row in rows:
                    out.put(row)
            clock = time.monotonic() - began
            busiest = max(now - cpu.get(process, 0.0) for process, now in _cpu_seconds().items())
            return rows, _Published((out.sha256, out.rejected_sha256), busiest, clock)

        made: list[_Published] = []
        for pool in (Pool(1), bench.pool) * REPETITIONS:
            rows, times = timed(pool)  # one list in memory, which is measured too
            made.append(times)
            slowness.append(bench.reference.slowness())
    if len({published.sha256 for published in made}) > 1:
        raise SystemExit(f"{bench.spec.key}: the pool made other rows than one process")
    seconds = [
        _Seconds(published.busiest, around)
        for published, around in zip(made, itertools.pairwise(slowness), strict=True)
    ]
    clock = min(published.clock for published in made[1::2])
    figures.add(bench.spec.key, usage, filled, rows, seconds[::2], seconds[1::2], clock)
    return rows


def _cpu_seconds() -> dict[int, float]:
    """Process → its CPU seconds so far, of this process and of those that it started."""
    seconds = {os.getpid(): time.process_time()}
    for file in Path("/proc/self/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks = int(fields[11]) + int(fields[12])
            seconds[child] = ticks / os.sysconf("SC_CLK_TCK")
    return seconds


if __name__ == "__main__":
    main()
