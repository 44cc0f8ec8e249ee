"""A short soak; `benchmarks/soak.py` is the long one."""

from __future__ import annotations

import subprocess
import sys


def test_a_disturbed_run_ends_as_an_undisturbed_one() -> None:
    command = [sys.executable, "-m", "sdg_assets_tests.benchmarks.soak", "--short"]

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "SIGKILL" in done.stdout
    assert "disk full" in done.stdout
    assert "105 files compared each round" in done.stdout
