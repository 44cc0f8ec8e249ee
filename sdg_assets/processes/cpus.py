"""How many CPUs this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cpus(cgroups: Path = CGROUPS, own_groups: Path = OWN_GROUPS) -> int:
    """The CPUs that this process may use: by its affinity, and by the CPU limit of its container.

    A container with a limit of 2 sees all 64 CPUs of its node, and 64 processes would be throttled.

    Args:
        cgroups: Where the control groups are mounted.
        own_groups: The file that names the groups of this process.
    """
    if hasattr(os, "sched_getaffinity"):
        present = len(os.sched_getaffinity(0))
    else:  # macOS
        present = os.cpu_count() or 1
    return max(1, min([present, *(int(limit) for limit in _limits(cgroups, own_groups))]))


def _limits(cgroups: Path, own_groups: Path) -> Iterator[float]:
    """The CPU limits of this process's groups and of the groups around them."""
    lines: list[str] = []
    with suppress(OSError):
        lines = own_groups.read_text("utf-8").splitlines()
    for line in lines:
        _, controllers, name = line.split(":", maxsplit=2)
        if not controllers:  # version 2
            root, read = cgroups, _limit
        elif "cpu" in controllers.split(","):
            root, read = cgroups / "cpu", _limit_of_version_1
        else:
            continue
        group = root / name.lstrip("/")
        while True:
            # In a container the name may be one of the node, which is not mounted there.
            with suppress(OSError, ValueError):
                yield from read(group)
            if group == root:
                break
            group = group.parent


def _limit(group: Path) -> Iterator[float]:
    quota, period = (group / "cpu.max").read_text("utf-8").split()
    if quota != "max":
        yield int(quota) / int(period)


def _limit_of_version_1(group: Path) -> Iterator[float]:
    quota = int((group / "cpu.cfs_quota_us").read_text("utf-8"))
    if quota > 0:
        yield quota / int((group / "cpu.cfs_period_us").read_text("utf-8"))
