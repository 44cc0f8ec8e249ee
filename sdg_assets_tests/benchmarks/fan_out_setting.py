"""The emulated cluster of the benchmark `fan_out`, and the goals that it has missed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdg_assets.cluster.settings import cluster_settings
from sdg_assets_tests.cluster.arithmetic_teacher import SteadyTeacher
from sdg_assets_tests.cluster.deployment import SUBTASKS, TASK, Deployment, deployed
from sdg_assets_tests.conftest import forget_settings
from sdg_assets_tests.support.runs import failures, run

CONCURRENCY = 4
"""Requests under way of each index."""
PATIENCE = 3600.0
PART, OTHER = SUBTASKS[0], SUBTASKS[1]


@dataclass
class Findings:
    """The goals that were missed."""

    missed: list[str] = field(default_factory=list)

    def check(self, is_met: bool, goal: str, figure: str) -> None:
        print(f"{'met   ' if is_met else 'MISSED'} {goal}: {figure}", flush=True)
        if not is_met:
            self.missed.append(f"{goal}: {figure}")


@contextmanager
def prepared(
    teacher: SteadyTeacher, rows: int, indexes: int, parts: int = 1
) -> Iterator[Deployment]:
    """A cluster whose first partitions are normalized."""
    with (
        tempfile.TemporaryDirectory() as place,
        pytest.MonkeyPatch.context() as monkeypatch,
        deployed(
            Path(place),
            teacher.url,
            monkeypatch,
            rows,
            SDG_CONCURRENCY=str(CONCURRENCY),
            SDG_RETRIES="0",
            SDG_K8S_SCHEDULE_SECONDS="60",
        ) as deployment,
    ):
        forget_settings()
        cluster_settings.cache_clear()
        deployment.cluster.nodes["gpu-1"] = indexes
        deployment.instance.event_log_storage.set_concurrency_slots("gpu", indexes)
        result = run(
            TASK,
            ["seeds", "normalized"],
            subtasks=(PART, SUBTASKS[parts - 1]),
            instance=deployment.instance,
        )
        assert not failures(result)
        yield deployment


def launch(deployment: Deployment, indexes: int, parts: int = 1) -> None:
    """Starts a run of `generated`."""
    ends = (PART, SUBTASKS[parts - 1])
    deployment.launch("generated", subtasks=ends, tags={"sdg/indexes": str(indexes)})
