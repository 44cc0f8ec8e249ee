"""What tests and benchmarks of divided steps look at."""

from __future__ import annotations

from pathlib import Path

from sdg_assets.records import GeneratedExample
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.cluster.cluster import Pod
from sdg_assets_tests.cluster.deployment import TASK, Deployment


def generated_rows(store: Path, subtask: str) -> list[str]:
    """The published rows of a subtask."""
    key = PartitionKey(TASK, "generated", subtask)
    return [row.model_dump_json() for row in Store(store).read(key, GeneratedExample)]


def fill_pods(deployment: Deployment) -> list[Pod]:
    """All pods of Indexed Jobs that ever existed."""
    with deployment.cluster.lock:
        return [pod for pod in deployment.cluster.ever if pod.job.startswith("sdg-fill-")]


def fillers(deployment: Deployment) -> list[Pod]:
    """The pods of Indexed Jobs that run."""
    return [pod for pod in fill_pods(deployment) if pod.phase == "Running"]
