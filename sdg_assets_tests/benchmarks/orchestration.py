"""The cost of orchestration: many partitions through five stages with a teacher that costs nothing.

    python -m sdg_assets_tests.benchmarks.orchestration --partitions 100

Each partition has one seed, so the time is spent in Dagster, the store and the checks. It is
compared with the teacher's time for a realistic partition. `a run of one` is a run for a single
partition, as the UI launches it. A deployment also starts processes for each run; these come on top
of both.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from unittest import mock

import dagster as dg

from sdg_assets.catalog import cached_catalog
from sdg_assets.records import Role
from sdg_assets.settings import Settings, settings
from sdg_assets.teacher.requests import Request
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.runs import failures, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.stages import ROW_ASSETS

SINGLES = 5


def answer(request: Request) -> str:
    """Writes a new question, or gives the right answer."""
    if request.role is Role.WRITER:
        question = f"Which city has the number {request.id}?"
        return json.dumps({"question": question, "answer": "Oslo", "wrong_answers": ["Rome"]})
    return "I looked it up. Answer: Oslo"


def prepare(place: Path, partitions: int) -> list[str]:
    """A catalog and a mirror with this many subtasks of one row each."""
    keys = [f"part_{n:03}" for n in range(partitions)]
    catalog = write_catalog(place / "catalog", {"subtasks": {k: {"config": k} for k in keys}})
    for key in keys:
        folder = place / "mirror" / "org" / "quiz" / key
        folder.mkdir(parents=True)
        row = {"question": f"Which city is {key}?", "choices": ["Oslo", "Rome"], "label": 0}
        (folder / "train.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    os.environ |= {
        "SDG_CATALOG": str(catalog),
        "SDG_SEED_SOURCE": f"mirror:{place / 'mirror'}",
        "SDG_STORE": str(place / "store"),
    }
    settings.cache_clear()
    cached_catalog.cache_clear()
    return keys


def timed(
    instance: dg.DagsterInstance, stage: str, subtasks: str | tuple[str, str]
) -> tuple[float, float]:
    """Wall-clock and CPU seconds of one run of a stage."""
    began = time.perf_counter(), time.process_time()
    result = run("quiz", [stage], subtasks=subtasks, instance=instance)
    assert result.success, failures(result)
    return time.perf_counter() - began[0], time.process_time() - began[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=1000, help="of a realistic partition")
    parser.add_argument("--tokens-per-seed", type=float, default=400.0)
    parser.add_argument("--tokens-per-second", type=float, default=2500.0)
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    teacher = ScriptedTeacher(answer, per_poll=8)

    def opened(_settings: Settings, _role: Role) -> ScriptedTeacher:
        return teacher

    with (
        mock.patch("sdg_assets.teacher.open_teacher", opened),
        tempfile.TemporaryDirectory() as folder,
        dg.DagsterInstance.local_temp(folder) as instance,
    ):
        keys = prepare(Path(folder) / "work", arguments.partitions)
        print("seconds per partition, wall clock (CPU)")
        print(f"{'stage':<12}{'together':>18}{'a run of one':>18}")
        total = [0.0, 0.0, 0.0, 0.0]
        for stage in ROW_ASSETS:
            together = [s / len(keys) for s in timed(instance, stage, (keys[0], keys[-1]))]
            singles = [timed(instance, stage, key) for key in keys[:SINGLES]]
            alone = [sum(s) / SINGLES for s in zip(*singles, strict=True)]
            total = [a + b for a, b in zip(total, [*together, *alone], strict=True)]
            print(line(stage, [*together, *alone]))
    print(line("all", total))
    full_catalog = {name: v for name, v in os.environ.items() if name != "SDG_CATALOG"}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "import sdg_assets.definitions"], env=full_catalog, check=True
    )
    start = time.perf_counter() - began
    real = arguments.seeds * arguments.tokens_per_seed / arguments.tokens_per_second
    print(f"start of a run's process, on top of it: {start:.1f} s per run, not per partition")
    print(
        f"a partition of {arguments.seeds} seeds takes the teacher {real:.0f} s: "
        f"{total[0] / real:.2%} of it together, {total[2] / real:.2%} in runs of one"
    )


def line(stage: str, seconds: list[float]) -> str:
    """A line of the table."""
    cells = (f"{seconds[n]:.3f} ({seconds[n + 1]:.3f})" for n in (0, 2))
    return f"{stage:<12}" + "".join(cell.rjust(18) for cell in cells)


if __name__ == "__main__":
    main()
