"""How fast a run ends while the real engine is in the middle of a step; exits 1 if it is too slow.

python -m sdg_assets_tests.benchmarks.engine_stop [--teacher smollm2-135m] [--trials 6] [--seed 1]

Rows with long passages make the engine's first step last for seconds, all in compiled code. SIGTERM
and SIGINT are sent in turn, each at a random moment of that step.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sdg_assets_tests.support.builders import TASK, write_catalog

STOP_SECONDS = 5.0
START_SECONDS = 300.0
ROWS, WORDS = 8, 1100
AT_WORK = "AT WORK"
RUN = f"""
import sys
from contextlib import contextmanager
import dagster as dg
from sdg_assets.teacher import stopping
from sdg_assets.teacher.backends import engine
from sdg_assets_tests.support.runs import run

@contextmanager
def announced(patience=None):
    if patience is not None:  # it generates; without patience it loads
        print("{AT_WORK}", flush=True)
    with stopping.engine_work(patience) as work:
        yield work

engine.engine_work = announced
with dg.DagsterInstance.ephemeral() as instance:
    result = run("quiz", sys.argv[1:], instance=instance)
    sys.exit(not result.success)
"""


def main() -> int:
    """Prints the seconds of each trial; returns 1 if one took longer than allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", default="smollm2-135m")
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    options = parser.parse_args()
    moments, took = random.Random(options.seed), []
    with tempfile.TemporaryDirectory() as place:
        environment = prepared(Path(place), options.teacher)
        subprocess.run(command("seeds", "normalized"), env=environment, check=True)
        for trial in range(options.trials):
            number = (signal.SIGTERM, signal.SIGINT)[trial % 2]
            moment = moments.uniform(0.2, 3)
            took.append(seconds_to_end(environment, Path(place) / "out", number, moment))
            print(f"{number.name} {moment:.1f} s into the step: ended after {took[-1]:.1f} s")
    print(f"slowest {max(took):.1f} s, goal {STOP_SECONDS:.0f} s")
    if max(took) > STOP_SECONDS:
        print(f"MISSED: a run ends within {STOP_SECONDS:.0f} s")
        return 1
    return 0


def prepared(place: Path, teacher: str) -> dict[str, str]:
    """Makes a catalog of one task with long passages; returns the environment that names it."""
    record = {**TASK["record"], "context": "{{context}}"}
    catalog = write_catalog(place / "catalog", {"record": record, "subtasks": {"quiz": {}}})
    folder = place / "mirror" / "org" / "quiz" / "default"
    folder.mkdir(parents=True)
    words = random.Random(0)
    lines = [
        {
            "context": " ".join(
                f"{words.choice(NOUNS)} {words.randint(1, 99)}" for _ in range(WORDS // 2)
            ),
            "question": f"Which city is number {row}?",
            "choices": ["Oslo", "Rome"],
            "label": row % 2,
        }
        for row in range(ROWS)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    (folder / "test.jsonl").write_text(json.dumps(lines[0] | {"question": "Who?"}) + "\n", "utf-8")
    return {
        **{name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"},
        "SDG_CATALOG": str(catalog),
        "SDG_SEED_SOURCE": f"mirror:{place / 'mirror'}",
        "SDG_STORE": str(place / "store"),
        "SDG_WITHOUT_BENCHMARKS": "all",
        "SDG_GATES": json.dumps({"repeated_share": 1.0, "language_parts": []}),
        "SDG_SHOTS": "1",
        "SDG_TEACHER": teacher,
    }


NOUNS = ("river", "harbour", "tower", "bridge", "market", "garden", "station", "museum")


def command(*stages: str) -> list[str]:
    return [sys.executable, "-c", RUN, *stages]


def seconds_to_end(
    environment: dict[str, str], output: Path, number: signal.Signals, moment: float
) -> float:
    """Seconds from the signal to the end of the process."""
    with output.open("wb") as out:
        process = subprocess.Popen(command("generated"), env=environment, stdout=out, stderr=out)
    patience = time.monotonic() + START_SECONDS
    while AT_WORK not in output.read_text("utf-8", "replace"):
        if process.poll() is not None or time.monotonic() > patience:
            process.kill()
            raise AssertionError(output.read_text("utf-8", "replace")[-3000:])
        time.sleep(0.05)
    time.sleep(moment)
    if process.poll() is not None:
        raise AssertionError("the run was over before it was ended: make the passages longer")
    began = time.monotonic()
    process.send_signal(number)
    process.wait(START_SECONDS)
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
