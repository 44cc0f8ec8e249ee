from __future__ import annotations

import os
from pathlib import Path

import pytest

from sdg_assets.processes.cpus import usable_cpus


@pytest.fixture
def own_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that names the groups of a process, on a node with 64 CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    return tmp_path / "own"


def test_without_groups_the_affinity_counts(own_groups: Path, tmp_path: Path) -> None:
    assert usable_cpus(tmp_path, own_groups) == 64


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("200000 100000", 2), ("max 100000", 64), ("150000 100000", 1), ("50000 100000", 1)],
)
def test_the_limit_of_a_container_counts(
    limit: str, expected: int, own_groups: Path, tmp_path: Path
) -> None:
    own_groups.write_text("0::/\n")
    (tmp_path / "cpu.max").write_text(f"{limit}\n")

    assert usable_cpus(tmp_path, own_groups) == expected


def test_the_least_limit_of_the_groups_around_a_process_counts(
    own_groups: Path, tmp_path: Path
) -> None:
    own_groups.write_text("0::/pods/one/step\n")
    (tmp_path / "pods/one/step").mkdir(parents=True)
    (tmp_path / "pods/one/step/cpu.max").write_text("max 100000\n")
    (tmp_path / "pods/one/cpu.max").write_text("400000 100000\n")

    assert usable_cpus(tmp_path, own_groups) == 4


def test_a_limit_of_version_1_counts(own_groups: Path, tmp_path: Path) -> None:
    own_groups.write_text("5:memory:/pods\n4:cpu,cpuacct:/kubepods/on-the-node\n")
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("300000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")

    assert usable_cpus(tmp_path, own_groups) == 3
