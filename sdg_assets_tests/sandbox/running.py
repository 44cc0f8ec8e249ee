"""Running a program in one isolation, and finding the processes that it started."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sdg_assets import sandbox
from sdg_assets.sandbox import Isolation, Limits, Outcome, run_program

SAFE = [mode for mode in (Isolation.bubblewrap, Isolation.namespaces) if not sandbox.obstacle(mode)]
BRIEF = Limits(seconds=1)
NAMED = """
import ctypes, os, time
def rename(token):
    ctypes.CDLL(None).prctl(15, token.encode(), 0, 0, 0)
"""
"""Gives a program's process a name by which the host finds it."""


def run(mode: Isolation, code: str, *tests: str, **options: Any) -> Outcome:
    return run_program(code, tests, using=mode, **options)


def processes_named(name: str) -> list[str]:
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == name:
                found.append(comm.parent.name)
        except OSError:
            continue
    return found


def wait_until_gone(name: str) -> list[str]:
    deadline = time.monotonic() + 3
    while (left := processes_named(name)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
