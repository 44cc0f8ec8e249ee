"""How many programs a core verifies a minute, and whether any process outlives its program.

    python -m sdg_assets_tests.benchmarks.sandbox_throughput [--programs 400] [--workers 2]

Reads MBPP from a mirror in the Hub's layout at $SDGTEST_HUB or ../shared/hub; without one, writes
programs of its own. Fails below the target or when a process is left.
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

TARGET = 1_000
"""Programs a minute and core."""

REPOSITORY = Path(__file__).resolve().parents[2]


def _mbpp() -> list[Program]:
    hub = Path(os.environ.get("SDGTEST_HUB", REPOSITORY.parent / "shared" / "hub"))
    files = sorted((hub / "google-research-datasets/mbpp/full").glob("t*.parquet"))
    rows = [row for file in files for row in pl.read_parquet(file).iter_rows(named=True)]
    return [Program(row["code"], row["test_list"], row["test_setup_code"] or "") for row in rows]


def _synthetic() -> list[Program]:
    code = "def power_sum(values, n):\n    return sum(value**n for value in values)"
    return [
        Program(code, [f"assert power_sum([{n}, 2], {m}) == {n**m + 2**m}" for m in (1, 2, 3)])
        for n in range(100)
    ]


def _processes() -> set[int]:
    return {int(path.name) for path in Path("/proc").glob("[0-9]*")}


def _sandboxes_among(pids: Iterable[int]) -> list[int]:
    found = []
    for pid in pids:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if b"bwrap" in command or b"marshal.loads" in command:
            found.append(pid)
    return found


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def measure(mode: Isolation, programs: list[Program], workers: int) -> bool:
    """Print the figures of an isolation.

    Returns:
        Whether they reach the target and nothing is left.
    """
    before = _processes()
    started, used = time.perf_counter(), _processor_seconds()
    reasons = Counter(
        outcome.reason for outcome in run_programs(programs, workers=workers, using=mode)
    )
    elapsed, used = time.perf_counter() - started, _processor_seconds() - used
    left = _sandboxes_among(_processes() - before)
    per_core, each = 60 * len(programs) / used, 1000 * used / len(programs)
    print(
        f"{mode}: {reasons['passed']}/{len(programs)} passed, {workers} workers; "
        f"{60 * len(programs) / elapsed:.0f} a minute by the clock, "
        f"{per_core:.0f} a minute and core ({each:.1f} ms of processor each); "
        f"leaked processes: {len(left)}"
    )
    return per_core >= TARGET and not left


def main() -> int:
    """Measure every isolation that works here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=400)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    known = _mbpp()
    print(f"{len(known)} programs of MBPP" if known else "no mirror of MBPP: synthetic programs")
    programs = list(islice(cycle(known or _synthetic()), options.programs))
    modes = [mode for mode in Isolation if sandbox.obstacle(mode) is None]
    good = [measure(mode, programs, options.workers) for mode in modes]
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
