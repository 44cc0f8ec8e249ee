"""Output tokens per second of the `generated` stage, and the engine's own offline throughput.

Runs `sdg bench` for the embedded teachers and exits 1 if a stage reaches less than its goal. Both
sides use one engine with the same prompts and greedy sampling. Where the engine computes in this
process, CPU time is compared, and every step counts for as long as the mean: other work on the
machine, and a machine that drifts, do not change the ratio.

    python -m sdg_assets_tests.benchmarks.engine_speed --teachers smollm2-135m --requests 64
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

TEACHERS = ("smollm2-135m", "qwen2.5-coder-1.5b")
SUBTASK = "gsm8k/gsm8k"


def main() -> int:
    """Prints each teacher's figures; returns 1 if one missed the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teachers", nargs="+", default=TEACHERS)
    parser.add_argument("--subtask", default=SUBTASK)
    parser.add_argument("--requests", default="64")
    parser.add_argument("--max-tokens", default="128")
    options = parser.parse_args()
    missed = []
    for teacher in options.teachers:
        command = [sys.executable, "-c", "from sdg_assets.cli import main; main()"]
        arguments = ["--requests", options.requests, "--max-tokens", options.max_tokens]
        environment = {**os.environ, "SDG_TEACHER": teacher}
        done = subprocess.run(
            [*command, "bench", options.subtask, *arguments], env=environment, check=False
        )
        missed += [teacher] if done.returncode else []
    if missed:
        sys.stderr.write(f"MISSED: `sdg bench` failed for {', '.join(missed)}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
