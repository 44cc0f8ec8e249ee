"""Peak memory and rows per second of each stage on one large partition, and how both grow.

    python -m sdg_assets_tests.benchmarks.large_partition [--rows 2000000] [--stages seeds,filtered]

The seeds are made up and the teacher answers at once. Each stage runs in a process of its own, so
that its peak memory is its own; it reads what the stage before has stored. Where that stage is left
out by `--stages`, its rows are made up, too. The held-out index is left out: its size does not
depend on the partition. `curated` is a release of this one partition. The stages run on a tenth of
the rows first, then on all of them. Times are CPU time, so that other work on the machine does not
count.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import log
from multiprocessing import get_context
from pathlib import Path

from sdg_assets.assets.writing import write_partition
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.gates import row_gates, seed_gates, set_gates, signatures_of
from sdg_assets.gates.licence import Terms
from sdg_assets.processes.pool import Pool
from sdg_assets.records import (
    EnrichedExample,
    Example,
    GeneratedExample,
    Role,
    Seed,
    Stage,
)
from sdg_assets.release import Cut, write_release
from sdg_assets.release.published import release_named
from sdg_assets.signatures.release import duplicates_across
from sdg_assets.signatures.table import ATTACHMENT
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets.stages import enriched, generated
from sdg_assets.stages.curated import curate
from sdg_assets.stages.filtered import filter_rows
from sdg_assets.stages.gate_refusals import GateRefusals
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.normalized import normalize, without_refused
from sdg_assets.stages.published import solved_rows, warm_up, written_rows
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.stages.stage import ROW_STAGES, key_of
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.row_file import RowFile
from sdg_assets.teacher.conversation import Desk, Feed, ResultT, Usage, Work
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.stream import fill
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.benchmarks.made_up import (
    UNDER_WAY,
    InstantTeacher,
    MadeUpSource,
    made_up_rows,
    made_up_signatures,
)
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.records import STAMP

STAGES = (*ROW_STAGES, Stage.CURATED)
SPLIT = 1.25
"""Rows of the split per seed: the stage `seeds` draws a sample."""
PEAK_MIB = 3072
TOLERANCE = 1.15
"""Of times: on a machine where others work, caches are shared."""


@dataclass(frozen=True)
class Partition:
    """A partition of made-up seeds, and how it is made."""

    rows: int
    folder: Path
    votes: int

    @property
    def spec(self) -> SubtaskSpec:
        """The subtask."""
        return seed_task().resolve("quiz")

    @property
    def store(self) -> Store:
        """The store with its stages."""
        return Store(self.folder / "store")

    def key(self, stage: Stage) -> PartitionKey:
        """The key of one of its stages."""
        return key_of(self.spec, stage)


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
    parser.add_argument("--stages", default=",".join(STAGES), help="some of: %(default)s")
    parser.add_argument("--votes", type=int, default=SolverKnobs().votes, help="in `enriched`")
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
                figures[stage, size] = each = _measured(
                    stage, Partition(size, Path(folder), arguments.votes)
                )
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


def _measured(stage: Stage, partition: Partition) -> Figures:
    context, place = get_context("spawn"), STAGES.index(stage)
    with ProcessPoolExecutor(1, context) as pool:
        pool.submit(_supply, STAGES[:place][-1:], partition).result()
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_run, stage, partition).result()


def _supply(above: tuple[Stage, ...], partition: Partition) -> None:
    """Makes up the stages that the next one reads, if they were left out."""
    needed = set(above)
    if needed & {Stage.GENERATED, Stage.ENRICHED}:
        needed.add(Stage.NORMALIZED)
    for stage in needed:
        key, rows = partition.key(stage), partition.rows
        if not partition.store.exists(key):
            with partition.store.write(key) as out:
                for row in made_up_rows(partition.spec, stage, rows):
                    out.put(row)
                if stage is Stage.FILTERED:
                    signatures = made_up_signatures(rows)
                    out.attachments[ATTACHMENT] = partial(signatures.write_parquet, str(key))


def _run(stage: Stage, partition: Partition) -> Figures:
    began = _cpu_seconds()
    _RUNS[stage](partition)
    seconds = _cpu_seconds() - began
    accepted, rejected = _counts(stage, partition)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Figures(accepted + rejected, accepted, seconds, peak)


def _cpu_seconds() -> float:
    """Of this process, and of those that published its rows and have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _counts(stage: Stage, partition: Partition) -> tuple[int, int]:
    """Accepted and rejected rows."""
    if stage is Stage.CURATED:
        release = release_named(partition.store.root, None)
        return release.rows, sum(release.manifest["rejected"].values())
    manifest = partition.store.manifest(partition.key(stage))
    return manifest.rows, sum(manifest.rejected.values())


def _seeds(partition: Partition) -> None:
    source = MadeUpSource(round(SPLIT * partition.rows))
    sampled = collect_seeds(partition.spec, source, partition.rows)
    write_partition(partition.key(Stage.SEEDS), partition.store, sampled)


def _normalized(partition: Partition) -> None:
    seeds = partition.store.read(partition.key(Stage.SEEDS), Seed)
    examples = without_refused(normalize(partition.spec, seeds), seed_gates(Thresholds()))
    write_partition(partition.key(Stage.NORMALIZED), partition.store, examples)


def _generated(partition: Partition) -> None:
    spec, store, writer = partition.spec, partition.store, InstantTeacher()
    seeds = RowFile(Example, store.read(partition.key(Stage.NORMALIZED), Example))
    with CompletionLog(partition.folder / "writer.jsonl") as answers:
        _fill(generated.write(spec, seeds, writer, WriterKnobs()), {Role.WRITER: writer}, answers)
        with Pool(warm_up=warm_up) as pool:
            logs, knobs = {Role.WRITER: answers.answers()}, WriterKnobs()
            published = written_rows(spec, seeds, writer, knobs, logs, Thresholds(), pool)
            write_partition(partition.key(Stage.GENERATED), store, published)


def _enriched(partition: Partition) -> None:
    store, solver, knobs = partition.store, InstantTeacher(), SolverKnobs(votes=partition.votes)

    def written() -> Iterator[GeneratedExample]:
        return store.read(partition.key(Stage.GENERATED), GeneratedExample)

    with CompletionLog(partition.folder / "solver.jsonl") as answers:
        _fill(enriched.enrich(written(), solver, knobs), {Role.SOLVER: solver}, answers)
        with Pool(warm_up=warm_up) as pool:
            published = solved_rows(
                written(),
                partition.rows,
                solver,
                knobs,
                None,
                {Role.SOLVER: answers.answers()},
                enriched.EnrichmentReport(),
                Thresholds(),
                pool,
            )
            write_partition(partition.key(Stage.ENRICHED), store, published)


def _fill(
    works: Iterable[Work[ResultT]], teachers: dict[Role, InstantTeacher], answers: CompletionLog
) -> None:
    desks = {role: Desk(teacher, answers) for role, teacher in teachers.items()}
    (feed,) = fill([Feed(works, desks, Usage())], concurrency=UNDER_WAY)
    if feed.error:
        raise feed.error


def _filtered(partition: Partition) -> None:
    store, thresholds = partition.store, Thresholds()
    normalized, solved = partition.key(Stage.NORMALIZED), partition.key(Stage.ENRICHED)
    sets = set_gates(thresholds, lambda: store.read(normalized, Example))
    accepted = filter_rows(lambda: store.read(solved, EnrichedExample), row_gates(thresholds), sets)
    key = partition.key(Stage.FILTERED)
    write_partition(key, store, accepted, signatures=lambda: signatures_of(sets))


def _curated(partition: Partition) -> None:
    spec, store, key = partition.spec, partition.store, partition.key(Stage.FILTERED)

    def partitions() -> Iterator[tuple[str, Iterator[EnrichedExample]]]:
        yield str(key), store.read(key, EnrichedExample)

    by_gates = GateRefusals(partitions(), lambda _: [])
    places = by_gates.places
    copies = duplicates_across(store, [key], lambda _: DuplicateThresholds(), "local", places)
    rows = curate(
        partitions(),
        copies.refusals,
        by_gates.of,
        {spec.key: "yes"},
        {STAMP.model: Terms("yes", "yes")},
    )
    write_release(store.root, Cut({str(key): store.manifest(key).sha256}), rows)


_RUNS: dict[Stage, Callable[[Partition], None]] = {
    Stage.SEEDS: _seeds,
    Stage.NORMALIZED: _normalized,
    Stage.GENERATED: _generated,
    Stage.ENRICHED: _enriched,
    Stage.FILTERED: _filtered,
    Stage.CURATED: _curated,
}


if __name__ == "__main__":
    main()
