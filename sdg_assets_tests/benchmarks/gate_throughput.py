"""Rows per second of the gates that test a text, compared with reading the rows; and peak memory.

python -m sdg_assets_tests.benchmarks.gate_throughput [--rows 200000]

The rows are the mirror's seeds, repeated as often as needed, each with its own inserted words. The
benchmark uses one core: it restarts itself with threads switched off.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from more_itertools import chunked

from sdg_assets.catalog import cached_catalog
from sdg_assets.gates import Batch, Gate, draft_gates
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.records import Example
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.gates.real_rows import real_examples, real_subtasks

TASKS = ("arc", "boolq", "commonsense_qa", "gsm8k", "hendrycks_math", "jglue_reasoning", "pubmedqa")
EACH = 2000
KEY = PartitionKey("mixed", "normalized", "mixed")
ONE_CORE = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
MIB = 2**20


def realistic(count: int) -> Iterator[Example]:
    """Rows of every task in turn; a repeated row gets another question."""
    cached_catalog.cache_clear()
    seeds = [
        list(islice((row for spec in real_subtasks(task) for row in real_examples(spec)), EACH))
        for task in TASKS
    ]
    turns = zip(*map(cycle, seeds), strict=True)
    for number, row in enumerate(islice((row for turn in turns for row in turn), count)):
        yield row.model_copy(update={"question": f"{row.question} ({number})"})


def measure(root: Path) -> None:
    """Prints the seconds of reading, then each gate's name and seconds, then the peak memory."""
    store, gates = Store(root), draft_gates(Thresholds())
    seconds: dict[str, float] = dict.fromkeys(["reading", *(gate.name for gate in gates)], 0.0)
    warm(gates)
    start = time.process_time()
    for rows in chunked(store.read(KEY, Example), ROWS_PER_BATCH):
        batch = Batch(rows)
        seconds["reading"] += time.process_time() - start
        for gate in gates:
            start = time.process_time()
            gate.refusals(batch)
            seconds[gate.name] += time.process_time() - start
        start = time.process_time()
    for name, spent in seconds.items():
        print(name, spent)
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def warm(gates: list[Gate]) -> None:
    """Loads everything that is loaded once: the language model, compiled patterns."""
    row = next(realistic(1))
    for gate in gates:
        gate.refusals(Batch([row]))


def one_row() -> dict[str, float]:
    """Milliseconds for a batch of one row, as for each new draft."""
    rows, gates = list(realistic(200)), draft_gates(Thresholds())
    warm(gates)
    spent = {}
    for gate in gates:
        start = time.process_time()
        for row in rows:
            gate.refusals(Batch([row]))
        spent[gate.name] = (time.process_time() - start) / len(rows) * 1000
    return spent


def figures(count: int) -> None:
    """Prints the table for this number of rows."""
    with tempfile.TemporaryDirectory() as directory:
        with Store(Path(directory)).write(KEY) as out:
            for row in realistic(count):
                out.accept(row)
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, "--measure", directory],
            capture_output=True,
            text=True,
            check=True,
        )
    spent = {name: float(value) for name, value in map(str.split, done.stdout.splitlines())}
    peak = spent.pop("peak")
    print(f"{count:,} rows, peak memory {peak / MIB:,.0f} MiB")
    for name, seconds in spent.items():
        print(
            f"  {name:<14} {count / max(seconds, 1e-9):>10,.0f} rows/s"
            f" {seconds / spent['reading']:>7.2f} x reading"
        )
    gates = sum(spent.values()) - spent["reading"]
    print(f"  {'all gates':<14} {count / gates:>10,.0f} rows/s {gates / spent['reading']:>7.2f} x")


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return 0
    if any(os.environ.get(name) != value for name, value in ONE_CORE.items()):
        # Libraries read these variables once, on import.
        os.execve(sys.executable, [sys.executable, "-m", __spec__.name, *sys.argv[1:]],
                  {**os.environ, **ONE_CORE})  # fmt: skip
    for count in sorted({options.rows // 20, options.rows}):
        figures(count)
    for name, milliseconds in one_row().items():
        print(f"one row alone, {name}: {milliseconds:.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
