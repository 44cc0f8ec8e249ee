"""Goals of a benchmark: their figures as a table, and the exit code that names what is missed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A goal: its figure, and whether it is reached."""

    name: str
    figure: str
    reached: bool


def exit_code(goals: Iterable[Goal]) -> int:
    """Prints the goals as a table, and the missed ones on stderr.

    Returns:
        1 if a goal is missed, else 0.
    """
    print("\n| goal | figure | |\n|---|---|---|")
    missed = []
    for goal in goals:
        print(f"| {goal.name} | {goal.figure} | {'reached' if goal.reached else 'MISSED'} |")
        if not goal.reached:
            missed.append(goal.name)
    for name in missed:
        print(f"goal missed: {name}", file=sys.stderr)
    return 1 if missed else 0
