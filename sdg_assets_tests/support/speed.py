"""A limit on processor time that holds on a busy machine as well.

Processor time grows, too, where other programs empty the caches: by half and more, so that limits
in seconds failed there. Importing dagster grows as much, and took 0.5 s where the limits were set.
"""

from __future__ import annotations

import subprocess
import sys

TRIES = 3
REFERENCE = "import time, dagster; print(time.process_time())"


def imports_of_dagster(program: str, *, limit: float) -> tuple[float, list[str]]:
    """How many times as much processor time a program spends as importing dagster takes.

    Args:
        program: Prints the processor seconds that it spent, then whatever else it found out.
        limit: A ratio above it is measured again, at most three times in all: whatever else the
            machine does only adds to it.

    Returns:
        The smallest ratio, and the program's other lines.
    """
    ratios: list[float] = []
    lines: list[str] = []
    while len(ratios) < TRIES and not any(ratio < limit for ratio in ratios):
        reference = float(_output(REFERENCE)[0])
        seconds, *lines = _output(program)
        ratios.append(float(seconds) / reference)
    return min(ratios), lines


def _output(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
