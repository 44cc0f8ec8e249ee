"""Soak rounds on the emulated cluster: pods are killed, refused and terminated."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from dagster import DagsterRunStatus

from sdg_assets.cluster.ended_runs import end_pods_of_ended_runs
from sdg_assets.cluster.settings import cluster_settings
from sdg_assets_tests.cluster.arithmetic_teacher import Sums
from sdg_assets_tests.cluster.cluster import Pod
from sdg_assets_tests.cluster.deployment import SUBTASKS, TASK, Deployment, deployed
from sdg_assets_tests.conftest import forget_settings
from sdg_assets_tests.soak.faulty_teacher import FaultyTeacher
from sdg_assets_tests.soak.local import Findings, published
from sdg_assets_tests.support.stages import ROW_ASSETS, TASK_ASSETS

PATIENCE = 240.0
STOP_SECONDS = 10.0
KINDS = (
    "pod killed for memory",
    "pod evicted",
    "node lost",
    "pod refused",
    "run worker killed",
    "run terminated",
)
REFUSAL = "exceeded quota: sdg, requested: pods=1, used: pods=30"


class SumTeacher(Sums, FaultyTeacher):
    """Writes sums that depend only on the request, and solves them."""

    def numbers(self, body: dict[str, Any]) -> tuple[int, int]:
        """Two numbers that depend only on the request."""
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
        return 100 + digest[0] * 256 + digest[1], 100 + digest[2] * 256 + digest[3]


class ClusterRounds:
    """Disturbs runs, each round on its own cluster."""

    def __init__(
        self, place: Path, teacher: SumTeacher, random: Random, findings: Findings
    ) -> None:
        """Makes the undisturbed run that all others are compared with."""
        self._place, self._teacher, self._random = place, teacher, random
        self.findings = findings
        with self._cluster("cluster-reference") as deployment:
            deployment.launch(*TASK_ASSETS)
            self._wait_for_end(deployment)
            assert deployment.status is DagsterRunStatus.SUCCESS, deployment.messages()[-20:]
            self.reference = published(deployment.store, TASK, SUBTASKS)

    def round(self, number: int) -> None:
        """One store from empty to published; each kind of fault once, in a random stage."""
        faults = [(kind, self._random.choice(ROW_ASSETS)) for kind in KINDS]
        # The first stage comes last.
        faults.sort(key=lambda fault: ROW_ASSETS.index(fault[1]), reverse=True)
        with self._cluster(f"cluster-{number}") as deployment:
            deployment.launch(*TASK_ASSETS)
            until = time.monotonic() + PATIENCE
            while time.monotonic() < until:
                if deployment.is_finished():
                    if deployment.status is DagsterRunStatus.SUCCESS and not faults:
                        break
                    deployment.launch(*TASK_ASSETS)
                elif faults and self._disturb(deployment, *faults[-1]):
                    self.findings.faults[faults.pop()[0]] += 1
                    until = time.monotonic() + PATIENCE
                time.sleep(0.2)
            else:
                self.findings.broken.append(f"a run stood still: {deployment.messages()[-3:]}")
                return
            files = published(deployment.store, TASK, SUBTASKS)
        for name in sorted(self.reference.keys() | files.keys()):
            if files.get(name) != self.reference.get(name):
                self.findings.broken.append(f"{name} differs from the undisturbed run's")

    @contextmanager
    def _cluster(self, name: str) -> Iterator[Deployment]:
        with pytest.MonkeyPatch.context() as patch:
            place = self._place / name
            place.mkdir()
            with deployed(place, self._teacher.url, patch) as deployment:
                deployment.cluster.nodes["gpu-1"] = 2
                forget_settings()
                cluster_settings.cache_clear()
                yield deployment

    def _disturb(self, deployment: Deployment, kind: str, stage: str) -> bool:
        """Acts while a step of the stage runs; returns false if none runs."""
        cluster = deployment.cluster
        with cluster.lock:
            running = [p for p in cluster.pods.values() if p.phase == "Running"]
        workers = [pod for pod in running if pod.stage is None]
        steps = [pod for pod in running if pod.stage == stage]
        if not workers or not steps:
            return False
        step = self._random.choice(steps)
        time.sleep(self._random.uniform(0, 3))
        if kind == "pod killed for memory":
            cluster.kill_for_memory(step)
        elif kind == "pod evicted":
            with cluster.lock:
                cluster.evict(step)
        elif kind == "node lost":
            cluster.lose_node(step)
        elif kind == "pod refused":
            self._refuse(deployment)
        elif kind == "run worker killed":
            cluster.kill_for_memory(workers[0])
            self._until(lambda: workers[0].phase == "Failed")
            deployment.monitor()
        else:
            self._terminate(deployment)
        return True

    def _refuse(self, deployment: Deployment) -> None:
        """Refuses pods of the next stages for a while."""
        deployment.cluster.refused = dict.fromkeys(TASK_ASSETS, REFUSAL)
        self._until(
            lambda: (
                deployment.is_finished()
                or any("exceeded quota" in message for message in deployment.messages())
            )
        )
        deployment.cluster.refused = {}

    def _terminate(self, deployment: Deployment) -> None:
        deployment.terminate()
        began = time.monotonic()
        cluster = deployment.cluster
        self._until(lambda: not any(_is_alive(pod) for pod in cluster.ever if pod.stage))
        took = time.monotonic() - began
        self.findings.slowest_stop = max(self.findings.slowest_stop, took)
        if took > STOP_SECONDS:
            self.findings.broken.append(f"a terminated run kept a pod for {took:.1f} s")
        self._until(deployment.is_finished)
        end_pods_of_ended_runs(deployment.instance, "sdg")
        storage = deployment.instance.event_log_storage
        storage.free_concurrency_slots_for_run(deployment.run_id)

    def _wait_for_end(self, deployment: Deployment) -> None:
        self._until(deployment.is_finished)

    def _until(self, holds: Any) -> None:
        until = time.monotonic() + PATIENCE
        while not holds() and time.monotonic() < until:
            time.sleep(0.2)


def _is_alive(pod: Pod) -> bool:
    return pod.process is not None and pod.process.poll() is None
