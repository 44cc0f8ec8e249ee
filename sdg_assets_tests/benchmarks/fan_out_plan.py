"""The part of `fan_out` that compares the forecast of `sdg plan` with runs on the emulated cluster.

Runs in which all indexes ask from the first moment are compared with a forecast that loads nothing
and knows how fast one index was. One more run has everything that a forecast knows: pods that load,
answers of uneven length, and pods that are killed when the forecast's own random numbers say so.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from itertools import takewhile
from statistics import fmean

import numpy as np
import psutil

from sdg_assets.catalog import configured_catalog
from sdg_assets.records import Example
from sdg_assets.settings import settings
from sdg_assets.stages.fleet import DAY, Fleet, Phase, failure_times, forecast, seconds_of
from sdg_assets.stages.plan import RoughCounter, plan_subtask
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.benchmarks.fan_out_setting import (
    CONCURRENCY,
    PART,
    PATIENCE,
    Findings,
    launch,
    prepared,
)
from sdg_assets_tests.cluster.arithmetic_teacher import SteadyTeacher
from sdg_assets_tests.cluster.deployment import TASK, Deployment
from sdg_assets_tests.cluster.divided import fill_pods
from sdg_assets_tests.cluster.job_controller import BACKOFF_SECONDS
from sdg_assets_tests.support.teacher_server import teacher_server

TOLERANCE = 0.15
INDEXES, ROWS, ANSWER_SECONDS, SPREAD = 6, 1200, 0.6, 0.5
LOAD_SECONDS = 30.0
"""Longer than six Python processes on two cores need to start."""
FAILURE_SECONDS = 120.0
"""Mean time between two failures of a pod, which lives for 60 s without any."""
SEED = 50
"""Of the failures. With it pods fail five times, four times while they answer, and none when it is
about to be done: a second of this machine would then decide whether it loads again."""
SIMULATIONS = 50


class LoadingTeacher(SteadyTeacher):
    """Answers nothing before the pod that asks has loaded; answers take uneven times."""

    def __init__(self) -> None:
        super().__init__()
        self.deployment: Deployment | None = None
        self.lateness: dict[float, float] = {}
        """A pod's creation → seconds by which its first request came after its load."""
        self._random = random.Random(SEED)

    def intercepts(self, handler: BaseHTTPRequestHandler) -> bool:
        """Waits while the pod that asks loads. Each handler serves one connection."""
        is_known = "sdg_pod_is_up" in vars(handler)
        if self.deployment and handler.path.endswith("/completions") and not is_known:
            began = created_at(self.deployment, handler.client_address[1])
            left = began + LOAD_SECONDS - time.time()
            self.lateness.setdefault(began, -left)
            self.over.wait(max(0.0, left))
            vars(handler)["sdg_pod_is_up"] = True
        return False

    def admits(self) -> bool:
        """As a steady teacher, but answers have different lengths."""
        variance = np.log1p(SPREAD**2)
        drawn = self._random.lognormvariate(-variance / 2, np.sqrt(variance))
        is_admitted = super().admits()
        self.over.wait(ANSWER_SECONDS * drawn)
        return is_admitted


def created_at(deployment: Deployment, port: int) -> float:
    """When the pod was created that has a connection from this port."""
    connections = psutil.net_connections("tcp")
    pids = {c.pid for c in connections if c.laddr and c.laddr.port == port} - {os.getpid()}
    (pod,) = (p for p in fill_pods(deployment) if p.process and p.process.pid in pids)
    created = datetime.fromisoformat(pod.body["metadata"]["creationTimestamp"])
    return created.astimezone(UTC).timestamp()


def phase_of(deployment: Deployment) -> Phase:
    """What `sdg plan` says about `generated` of the first part."""
    spec = configured_catalog(settings()).subtask(TASK, PART)
    store = Store(deployment.store)
    seeds = list(store.read(PartitionKey(TASK, "normalized", PART), Example))
    return plan_subtask(spec, seeds, RoughCounter(), settings(), len(seeds)).generated


def fleet_of(phase: Phase, indexes: int, seconds: float, **options: float) -> Fleet:
    """Indexes whose answers take so many seconds."""
    speed = CONCURRENCY * phase.output_tokens / phase.requests / seconds
    return Fleet(indexes, speed, CONCURRENCY, **{"load_seconds": 0.0, "spread": 0.0} | options)


def check(findings: Findings, what: str, planned: float, seconds: float) -> None:
    """Whether a run lasted about as long as planned."""
    off = seconds / planned - 1
    findings.check(
        abs(off) <= TOLERANCE,
        f"{what} within {TOLERANCE:.0%} of the plan",
        f"{seconds:.1f} s, {planned:.1f} s planned ({off:+.0%})",
    )


def compare_asking(findings: Findings, rows: int, indexes: int, alone: float, took: float) -> None:
    """Compares a run whose answers all take equally long with its forecast.

    Args:
        findings: Gets the result.
        rows: Rows of the partition.
        indexes: Among how many pods they were divided.
        alone: Seconds of one index, which say how fast it is, as `sdg bench` does of a GPU.
        took: Seconds from the first request to the last answer.
    """
    phase = Phase(rows, rows, rows)
    fleet = fleet_of(phase, indexes, alone * CONCURRENCY / rows)
    check(findings, f"{indexes} indexes take", 3600 * forecast([phase], fleet).hours, took)


def plan_and_run(findings: Findings) -> None:
    """Pods that load and fail, and answers of uneven length, against their forecast."""
    with (
        teacher_server(LoadingTeacher()) as teacher,
        prepared(teacher, ROWS, INDEXES) as deployment,
    ):
        teacher.deployment = deployment
        phase = phase_of(deployment)
        fleet = fleet_of(
            phase,
            INDEXES,
            ANSWER_SECONDS,
            load_seconds=LOAD_SECONDS,
            failures_per_day=DAY / FAILURE_SECONDS,
            restart_seconds=BACKOFF_SECONDS,
            spread=SPREAD,
        )
        drawn = np.random.default_rng(SEED)
        kills = [
            list(takewhile(lambda at: at < PATIENCE, failure_times(fleet, drawn)))
            for _ in range(INDEXES)
        ]
        launch(deployment, INDEXES)
        seconds, killed = watched(deployment, kills)
        simulated = [seconds_of(phase, fleet, drawn, kills) for _ in range(SIMULATIONS)]
        expected = forecast([phase], fleet)
        print(
            f"{INDEXES} indexes, {ROWS} rows, {killed} pods killed, first requests at most "
            f"{max(0.0, *teacher.lateness.values()):.1f} s after the load. With any failures: "
            f"{3600 * expected.hours:.0f} s planned, one run of twenty more than "
            f"{3600 * expected.late_hours:.0f} s",
            flush=True,
        )
        check(
            findings,
            "the last of failing pods is done",
            fmean(float(each.max()) for each in simulated),
            max(seconds),
        )
        check(
            findings,
            "all failing pods together take",
            fmean(float(each.sum()) for each in simulated),
            sum(seconds),
        )
        again = teacher.admitted - phase.requests
        findings.check(
            0 <= again <= CONCURRENCY * killed,
            "as many requests as planned, and those under way in killed pods",
            f"{phase.requests} planned, {again} more",
        )


def watched(deployment: Deployment, kills: Sequence[Sequence[float]]) -> tuple[list[float], int]:
    """Waits for the end of a run, and kills pods meanwhile.

    Args:
        deployment: Its cluster.
        kills: The seconds after which each index is hit.

    Returns:
        Seconds from the creation of each index's first pod to the end of its last one, and how
        many pods were killed.
    """
    begun, seconds, killed = dict[int, float](), dict[int, float](), 0
    left = [list(times) for times in kills]
    while not deployment.is_finished():
        for pod in fill_pods(deployment):
            if pod.has_ended:
                continue
            now = time.monotonic()
            began = begun.setdefault(pod.index, now)
            seconds[pod.index] = now - began
            while left[pod.index] and left[pod.index][0] <= now - began:
                left[pod.index].pop(0)
                if pod.phase == "Running":
                    deployment.cluster.kill_for_memory(pod)
                    killed += 1
        time.sleep(0.1)
    return list(seconds.values()), killed
