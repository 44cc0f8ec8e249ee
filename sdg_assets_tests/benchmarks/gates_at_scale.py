"""Every gate over millions of rows: rows per second of each, peak memory, and how both grow.

    python -m sdg_assets_tests.benchmarks.gates_at_scale --hub ../shared/hub --rows 500000 4500000

The rows are those of a mirror with other words and numbers, made while they are read. Partitions of
`--partition` rows go through the gates as in `filtered`, in two processes at the same time. Then
the copies among all partitions are searched from the signatures on disk, as for a release. A gate's
time is CPU time. Prints Markdown.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

from more_itertools import chunked

from sdg_assets.gates import row_gates
from sdg_assets.gates.base import ROWS_PER_BATCH, Batch, Gate
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.records import EnrichedExample, Example
from sdg_assets.signatures.scratch import search_local
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.benchmarks.mirror import examples, heldout_tables, subtasks
from sdg_assets_tests.support.records import enriched
from sdg_assets_tests.support.signatures import opened

SEEDS_PER_PARTITION = 2_000
WORDS_CHANGED = 0.35
_WORD = re.compile(r"[^\W\d_]{4,}|\d+")
_TEMPLATE = dict(enriched())


@dataclass
class Timed:
    """CPU seconds and rows, by gate."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    rows: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    peak_mib: float = 0.0

    def merge(self, other: Timed) -> None:
        """Adds another process's figures; the peak memory is the larger one."""
        for name, seconds in other.seconds.items():
            self.seconds[name] += seconds
        self.rows += other.rows
        self.refused += other.refused
        self.peak_mib = max(self.peak_mib, other.peak_mib)


def main() -> None:
    """Runs the sizes one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000])
    parser.add_argument("--partition", type=int, default=25_000)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    print("| rows | gate | rows/s | refused | peak MiB a process |\n|---|---|---:|---:|---:|")
    for rows in arguments.rows:
        folder = Path(tempfile.mkdtemp())
        try:
            _run(rows, arguments.partition, arguments.processes, folder)
        finally:
            shutil.rmtree(folder)


def _run(rows: int, size: int, processes: int, folder: Path) -> None:
    began, done = time.monotonic(), Timed()
    work = partial(_partition, size, folder)
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        for timed in pool.map(work, range(rows // size)):
            done.merge(timed)
    for name, count in done.rows.items():
        rate = count / done.seconds[name]
        print(f"| {rows:,} | {name} | {rate:,.0f} | {done.refused[name]:,} | |", flush=True)
    with ProcessPoolExecutor(1, context) as pool:
        copies, seconds, peak = pool.submit(_search, folder).result()
    print(
        f"| {rows:,} | copies among partitions | {rows / seconds:,.0f} | {copies:,} | {peak:,.0f} |"
    )
    total = time.monotonic() - began
    print(
        f"| {rows:,} | **all, wall clock** | **{rows / total:,.0f}** | {done.refused.total():,} "
        f"| {done.peak_mib:,.0f} |",
        flush=True,
    )


def _partition(size: int, folder: Path, number: int) -> Timed:
    timed, thresholds = Timed(), Thresholds()
    rows = synthetic(number, size)
    gates = [*row_gates(thresholds), Contamination(_index(), ContaminationThresholds())]
    seeds = _real()[number % len(_real()) :][:SEEDS_PER_PARTITION]
    duplicates = Duplicates(seeds, DuplicateThresholds())
    for batch in chunked(rows, ROWS_PER_BATCH):
        left: Batch[Example] = Batch(batch)
        for gate in gates:
            left = left.without(_timed(gate, left, timed))
        began = time.process_time()
        duplicates.add(left.rows)
        timed.seconds["duplicates"] += time.process_time() - began
        timed.rows["duplicates"] += len(left.rows)
    began = time.process_time()
    timed.refused["duplicates"] += len(duplicates.refusals())
    with (folder / f"{number}.parquet").open("wb") as file:
        duplicates.signatures().write_parquet(str(number), file)
    timed.seconds["duplicates"] += time.process_time() - began
    timed.peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return timed


def _timed(gate: Gate, batch: Batch[Example], timed: Timed) -> list[int]:
    began = time.process_time()
    refused = list(gate.refusals(batch))
    timed.seconds[gate.name] += time.process_time() - began
    timed.rows[gate.name] += len(batch.rows)
    timed.refused[gate.name] += len(refused)
    return refused


def _search(folder: Path) -> tuple[int, float, float]:
    began = time.process_time()
    files = {file.stem: partial(opened, file) for file in folder.glob("*.parquet")}
    verdicts = search_local(files, lambda _: DuplicateThresholds(), {})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return len(verdicts), time.process_time() - began, peak


def synthetic(number: int, size: int) -> Iterator[EnrichedExample]:
    """Rows of a partition: real ones with a third of their words and all their numbers changed."""
    real, words = _real(), _words()
    rng = random.Random(number)

    def other(match: re.Match[str]) -> str:
        if match[0].isdigit():
            return str(rng.randrange(10 ** len(match[0])))
        return rng.choice(words) if rng.random() < WORDS_CHANGED else match[0]

    for place in range(size):
        row = real[rng.randrange(len(real))]
        changed = {
            **_TEMPLATE,
            **dict(row),
            "id": f"{number:06x}{place:014x}",
            "context": _WORD.sub(other, row.context),
            "question": _WORD.sub(other, row.question),
        }
        yield EnrichedExample.model_construct(**changed)


@lru_cache(maxsize=1)
def _real() -> list[Example]:
    return [row for spec in subtasks() for row in examples(spec, spec.split)]


@lru_cache(maxsize=1)
def _words() -> list[str]:
    counts = Counter(w for row in _real()[::7] for w in _WORD.findall(row.question))
    return [word for word, _ in counts.most_common(20_000) if not word.isdigit()]


@lru_cache(maxsize=1)
def _index() -> HeldoutIndex:
    return HeldoutIndex(heldout_tables())


if __name__ == "__main__":
    main()
