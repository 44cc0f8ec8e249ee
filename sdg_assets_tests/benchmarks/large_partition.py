"""Peak memory and rows per second of each stage on one large partition, and how both grow.

    python -m sdg_assets_tests.benchmarks.large_partition [--rows 2000000] [--stages seeds,filtered]

The seeds are made up and the teacher answers at once. Each stage runs in a process of its own, so
that its peak memory is its own; it reads what the stage before has stored. Where that stage is left
out by `--stages`, its rows are made up, too. The held-out index is left out: its size does not
depend on the partition. The stages run on a tenth of the rows first, then on all of them. Times
are CPU time, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import log
from multiprocessing import get_context
from pathlib import Path

from sdg_assets.assets.writing import write_partition
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.gates import row_gates, seed_gates, set_gates, signatures_of
from sdg_assets.processes.pool import Pool
from sdg_assets.records import (
    EnrichedExample,
    Example,
    GeneratedExample,
    Record,
    Role,
    Seed,
    Stage,
    TeacherStamp,
)
from sdg_assets.sources.source import Row
from sdg_assets.stages import enriched, generated
from sdg_assets.stages.filtered import filter_rows
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.normalized import normalize, without_refused
from sdg_assets.stages.published import solved_rows, warm_up, written_rows
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.stages.stage import ROW_STAGES, STAGES, key_of
from sdg_assets.store.partitions import Store
from sdg_assets.store.row_file import RowFile
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.conversation import Desk, Feed, ResultT, Usage, Work
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Completion, FailedRequest, Request, TeacherIdentity
from sdg_assets.teacher.stream import fill
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.records import enriched as enriched_example

SPLIT = 1.25
"""Rows of the split per seed: the stage `seeds` draws a sample."""
PEAK_MIB = 3072
TOLERANCE = 1.15
"""Of times: on a machine where others work, caches are shared."""
UNDER_WAY = 1024
THINGS = [
    "bridge", "harbour", "lantern", "orchard", "engine", "violin", "glacier", "market", "compass",
    "needle", "ladder", "kettle", "meadow", "tunnel", "anchor", "statue", "pencil", "mirror",
    "valley", "candle", "feather", "hammer", "island", "journal",
]  # fmt: skip
KINDS = [
    "small", "old", "green", "quiet", "heavy", "narrow", "bright", "distant", "wooden", "broken",
    "hidden", "famous",
]  # fmt: skip


class InstantTeacher:
    """Answers at once: as the writer with a new question, as the solver with the right answer."""

    max_model_len = 32_768
    capacity = UNDER_WAY

    def __init__(self) -> None:
        self.identity = TeacherIdentity(TeacherStamp(model="instant", revision="1", license="MIT"))
        self.control_tokens = ControlTokens(())
        self._open: deque[Completion] = deque()

    def submit(self, request: Request) -> None:
        text = self._text(request)
        self._open.append(
            Completion(
                request_id=request.id,
                text=text,
                finish_reason="stop",
                prompt_tokens=400,
                output_tokens=len(text) // 4,
            )
        )

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        return [self._open.popleft() for _ in range(min(64, len(self._open)))]

    def _text(self, request: Request) -> str:
        if request.role is Role.WRITER:
            made = fields(random.Random(request.id), int(request.id[:12], 16))
            right, *wrong = made["choices"]
            answers = {"answer": right, "wrong_answers": wrong}
            return json.dumps({"question": made["question"], **answers})
        if request.prompt_version.startswith("knowledge/"):
            return (
                "People of that time kept records of what they made. Such records say which "
                "metal was used, because metals had very different prices at the market."
            )
        reasoning = "The records say which metal was dear at that time, so it must be that one."
        assert request.json_schema, "a small solver votes in JSON"
        options = request.json_schema["properties"]["answer"]["enum"]
        answer = next(option for option in options if option.endswith("gold"))
        return json.dumps({"reasoning": reasoning, "answer": answer})


class MadeUpSource:
    """A split of made-up rows, each different."""

    name = "made-up"

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def revision(self, spec: SubtaskSpec) -> str:
        return "1"

    def rows(self, spec: SubtaskSpec, split: str) -> Iterator[Row]:
        return (fields(random.Random(number), number) for number in range(self._rows))

    def splits(self, spec: SubtaskSpec) -> list[str]:
        return ["train"]

    def configs(self, dataset: str) -> list[str]:
        return ["main"]


def fields(rng: random.Random, number: int) -> Row:
    """A question of about sixty words; its number makes it another one than all others."""
    kinds, things = rng.choices(KINDS, k=9), rng.choices(THINGS, k=9)
    seen = ", ".join(f"a {kind} {thing}" for kind, thing in zip(kinds[2:], things[2:], strict=True))
    return {
        "question": f"In the diary number {number} the traveller says that there were {seen}, and "
        f"that the {kinds[0]} {things[0]} of the town was the work of her family. Of what was the "
        f"{kinds[1]} {things[1]} that they were given for it?",
        "choices": [f"It was made of {metal}" for metal in ("gold", "iron", "tin", "stone")],
        "label": 0,
    }


@dataclass(frozen=True)
class Figures:
    """Of one stage on one partition."""

    rows: int
    accepted: int
    seconds: float
    peak_mib: float


def main() -> None:
    """Runs both sizes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--stages", default=",".join(ROW_STAGES), help="some of: %(default)s")
    parser.add_argument("--peak-mib", type=float, default=PEAK_MIB)
    parser.add_argument("--scratch", help="a directory with 15 KB a row; default: TMPDIR")
    arguments = parser.parse_args()
    stages = [Stage(name) for name in arguments.stages.split(",")]
    sizes = arguments.rows // 10, arguments.rows
    figures: dict[tuple[Stage, int], Figures] = {}
    print("| stage | rows | accepted | rows/s | peak MiB |\n|---|---:|---:|---:|---:|")
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
            for stage in stages:
                figures[stage, size] = each = _measured(stage, size, Path(folder))
                print(
                    f"| {stage} | {each.rows:,} | {each.accepted:,} "
                    f"| {each.rows / each.seconds:,.0f} | {each.peak_mib:,.0f} |",
                    flush=True,
                )
    missed = list(_missed(stages, sizes, figures, arguments.peak_mib))
    if missed:
        raise SystemExit(f"missed: {'; '.join(missed)}")


def _missed(
    stages: Iterable[Stage],
    sizes: tuple[int, int],
    figures: dict[tuple[Stage, int], Figures],
    peak_mib: float,
) -> Iterator[str]:
    small, large = sizes
    limit = large * log(large) / (small * log(small)) * TOLERANCE
    for stage in stages:
        before, after = figures[stage, small], figures[stage, large]
        ratio = after.seconds / before.seconds
        print(
            f"{stage}: {ratio:.1f} times the time for {large / small:g} times the rows "
            f"(goal {limit:.1f}), peak {after.peak_mib:,.0f} MiB (goal {peak_mib:,.0f}), "
            f"{(after.peak_mib - before.peak_mib) * 1024**2 / (large - small):,.0f} bytes a row"
        )
        if ratio > limit:
            yield f"{stage}: time grows {ratio:.1f} times"
        if after.peak_mib > peak_mib:
            yield f"{stage}: peak memory {after.peak_mib:,.0f} MiB"


def _measured(stage: Stage, rows: int, folder: Path) -> Figures:
    context = get_context("spawn")
    above = ROW_STAGES[ROW_STAGES.index(stage) - 1] if stage is not ROW_STAGES[0] else None
    with ProcessPoolExecutor(1, context) as pool:
        pool.submit(_supplied, above, rows, folder).result()
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_run, stage, rows, folder).result()


def _supplied(above: Stage | None, rows: int, folder: Path) -> None:
    """Makes up the stages that the next one reads, if they were left out."""
    needed = [above] if above else []
    if above in {Stage.GENERATED, Stage.ENRICHED}:
        needed.append(Stage.NORMALIZED)
    for stage in needed:
        if not _store(folder).exists(key_of(_spec(), stage)):
            with _store(folder).write(key_of(_spec(), stage)) as out:
                for row in _made_up(stage, rows):
                    out.put(row)


def _made_up(stage: Stage, rows: int) -> Iterator[Record]:
    spec = _spec()
    seeds = collect_seeds(spec, MadeUpSource(rows))
    if stage is Stage.SEEDS:
        yield from seeds
        return
    template = dict(enriched_example())
    record = STAGES[stage].record
    for number, row in enumerate(normalize(spec, seeds)):
        if stage is not Stage.NORMALIZED:  # other questions than those of the seeds
            other = f"{row.question} ({number + rows})" if isinstance(row, Example) else ""
            values = {**template, **dict(row), "question": other, "id": f"{number:020x}"}
            yield record(**{name: values[name] for name in record.model_fields})
        else:
            yield row


def _run(stage: Stage, rows: int, folder: Path) -> Figures:
    began = time.process_time()
    _RUNS[stage](rows, folder)
    seconds = time.process_time() - began
    manifest = _store(folder).manifest(key_of(_spec(), stage))
    return Figures(
        manifest.rows + sum(manifest.rejected.values()),
        manifest.rows,
        seconds,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _spec() -> SubtaskSpec:
    return seed_task().resolve("quiz")


def _store(folder: Path) -> Store:
    return Store(folder / "store")


def _seeds(rows: int, folder: Path) -> None:
    spec = _spec()
    sampled = collect_seeds(spec, MadeUpSource(round(SPLIT * rows)), rows)
    write_partition(key_of(spec, Stage.SEEDS), _store(folder), sampled)


def _normalized(rows: int, folder: Path) -> None:
    spec, store = _spec(), _store(folder)
    seeds = store.read(key_of(spec, Stage.SEEDS), Seed)
    examples = without_refused(normalize(spec, seeds), seed_gates(Thresholds()))
    write_partition(key_of(spec, Stage.NORMALIZED), store, examples)


def _generated(rows: int, folder: Path) -> None:
    spec, store, writer = _spec(), _store(folder), InstantTeacher()
    seeds = RowFile(Example, store.read(key_of(spec, Stage.NORMALIZED), Example))
    with CompletionLog(folder / "writer.jsonl") as answers:
        _fill(generated.write(spec, seeds, writer, WriterKnobs()), {Role.WRITER: writer}, answers)
        with Pool(warm_up=warm_up) as pool:
            logs, knobs = {Role.WRITER: answers.answers()}, WriterKnobs()
            published = written_rows(spec, seeds, writer, knobs, logs, Thresholds(), pool)
            write_partition(key_of(spec, Stage.GENERATED), store, published)


def _enriched(rows: int, folder: Path) -> None:
    spec, store, solver, knobs = _spec(), _store(folder), InstantTeacher(), SolverKnobs()

    def written() -> Iterator[GeneratedExample]:
        return store.read(key_of(spec, Stage.GENERATED), GeneratedExample)

    with CompletionLog(folder / "solver.jsonl") as answers:
        _fill(enriched.enrich(written(), solver, knobs), {Role.SOLVER: solver}, answers)
        with Pool(warm_up=warm_up) as pool:
            published = solved_rows(
                written(),
                rows,
                solver,
                knobs,
                None,
                {Role.SOLVER: answers.answers()},
                enriched.EnrichmentReport(),
                Thresholds(),
                pool,
            )
            write_partition(key_of(spec, Stage.ENRICHED), store, published)


def _fill(
    works: Iterable[Work[ResultT]], teachers: dict[Role, InstantTeacher], answers: CompletionLog
) -> None:
    desks = {role: Desk(teacher, answers) for role, teacher in teachers.items()}
    (feed,) = fill([Feed(works, desks, Usage())], concurrency=UNDER_WAY)
    if feed.error:
        raise feed.error


def _filtered(rows: int, folder: Path) -> None:
    spec, store, thresholds = _spec(), _store(folder), Thresholds()
    sets = set_gates(thresholds, lambda: store.read(key_of(spec, Stage.NORMALIZED), Example))

    def read() -> Iterator[EnrichedExample]:
        return store.read(key_of(spec, Stage.ENRICHED), EnrichedExample)

    accepted = filter_rows(read, row_gates(thresholds), sets)
    write_partition(
        key_of(spec, Stage.FILTERED), store, accepted, signatures=lambda: signatures_of(sets)
    )


_RUNS: dict[Stage, Callable[[int, Path], None]] = {
    Stage.SEEDS: _seeds,
    Stage.NORMALIZED: _normalized,
    Stage.GENERATED: _generated,
    Stage.ENRICHED: _enriched,
    Stage.FILTERED: _filtered,
}


if __name__ == "__main__":
    main()
