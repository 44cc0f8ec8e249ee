"""How many programs per minute a core verifies, and whether a process outlives its program.

    python -m sdg_assets_tests.benchmarks.sandbox_throughput [--programs 400] [--workers 2]

Tests run on the programs and on their mutants. Reads MBPP from a mirror in the Hub's layout at
$SDGTEST_HUB or ../shared/hub; without a mirror, it uses synthetic programs. Fails below the target
or if a process is left.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path

import polars as pl

from sdg_assets import sandbox
from sdg_assets.sandbox import Isolation, Program, run_programs
from sdg_assets_tests.support.builders import MIRROR

TARGET = 1_500
"""Programs per minute and core, mutants included."""


def mbpp(*, prove: bool) -> list[Program]:
    """MBPP's training, test and validation rows, with their setup before the tests, as in a row.

    Args:
        prove: Whether the tests also run on mutants.

    Returns:
        The programs; empty without a mirror.
    """
    folder = MIRROR / "google-research-datasets/mbpp/full"
    splits = ("train", "test", "validation")
    files = [file for split in splits for file in sorted(folder.glob(f"{split}-*"))]
    rows = [row for file in files for row in pl.read_parquet(file).iter_rows(named=True)]
    tests = ([row["test_setup_code"] or "pass", *row["test_list"]] for row in rows)
    return [Program(r["code"], t, prove=prove) for r, t in zip(rows, tests, strict=True)]


def _synthetic() -> list[Program]:
    code = "def power_sum(values, n):\n    return sum(value**n for value in values)"
    return [
        Program(
            code,
            [f"assert power_sum([{n}, 2], {m}) == {n**m + 2**m}" for m in (1, 2, 3)],
            prove=True,
        )
        for n in range(100)
    ]


def _processes() -> set[int]:
    return {int(path.name) for path in Path("/proc").glob("[0-9]*")}


def _sandboxes_among(pids: Iterable[int]) -> list[int]:
    leaked = []
    for pid in pids:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # the process has ended in the meantime
        if b"bwrap" in command or b"marshal.loads" in command:
            leaked.append(pid)
    return leaked


def processor_seconds() -> float:
    """CPU seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(mode: Isolation, programs: list[Program], workers: int) -> bool:
    """Prints the figures of one isolation mode.

    Returns:
        Whether the target is reached and no process is left.
    """
    before = _processes()
    started, used = time.perf_counter(), processor_seconds()
    reasons = Counter(
        outcome.reason for outcome in run_programs(programs, workers=workers, using=mode)
    )
    elapsed, used = time.perf_counter() - started, processor_seconds() - used
    left = _sandboxes_among(_processes() - before)
    per_core, each = 60 * len(programs) / used, 1000 * used / len(programs)
    print(
        f"{mode}: {reasons['passed']}/{len(programs)} passed, {workers} workers; "
        f"{60 * len(programs) / elapsed:.0f} per minute by the clock, "
        f"{per_core:.0f} per minute and core ({each:.1f} ms of CPU each); "
        f"leaked processes: {len(left)}"
    )
    return per_core >= TARGET and not left


def main() -> int:
    """Measures every isolation mode that works here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=400)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    known = mbpp(prove=True)
    print(f"{len(known)} programs of MBPP" if known else "no mirror of MBPP: synthetic programs")
    programs = list(islice(cycle(known or _synthetic()), options.programs))
    modes = [mode for mode in Isolation if sandbox.obstacle(mode) is None]
    good = [measure(mode, programs, options.workers) for mode in modes]
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
