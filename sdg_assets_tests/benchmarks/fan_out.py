"""Divides one partition among the pods of an Indexed Job, on the emulated cluster.

python -m sdg_assets_tests.benchmarks.fan_out [--rows 4000] [--seconds 0.3]

The teacher is a server that answers after a fixed delay, so that waiting and not this machine's
CPU sets the pace. A run with 1, 4 and 16 indexes is timed from the moment at which every index has
requests under way to the last answer: the start of 16 Python processes on two cores is this
machine's, not the cluster's. The time from launch to the published partition is printed beside it.

Exits 1 and names the goal if one is missed:
- 4 indexes are 3.6 times as fast as one, 16 are 12 times as fast;
- with a pod killed and another evicted in the middle, the published rows are byte for byte those of
  one worker, and the server answers nothing twice but what the killed pod had under way or not yet
  written into a segment of the log;
- a permanent failure in one partition leaves the other published, and a new run asks only for
  what is missing;
- a cancelled run has no pods after 10 s; a refused quota is told within 10 s.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.cluster.settings import cluster_settings
from sdg_assets.records import Example, GeneratedExample
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.log.segments import MOST_UNSENT
from sdg_assets_tests.cluster.arithmetic_teacher import SteadyTeacher
from sdg_assets_tests.cluster.cluster import Pod, wait_until_gone
from sdg_assets_tests.cluster.deployment import SUBTASKS, TASK, Deployment, deployed
from sdg_assets_tests.conftest import forget_settings
from sdg_assets_tests.support.runs import failures, run
from sdg_assets_tests.support.teacher_server import teacher_server

SPEEDUPS = {4: 3.6, 16: 12.0}
CONCURRENCY = 4
FEW = 60
"""Rows of a partition where speed is not measured."""
STOP_SECONDS, TELL_SECONDS = 10.0, 10.0
PATIENCE = 3600.0
REFUSAL = "exceeded quota: sdg, requested: pods=1, used: pods=30"
PART, OTHER = SUBTASKS[0], SUBTASKS[1]


@dataclass
class Findings:
    """The goals that were missed."""

    missed: list[str] = field(default_factory=list)

    def check(self, is_met: bool, goal: str, figure: str) -> None:
        print(f"{'met   ' if is_met else 'MISSED'} {goal}: {figure}", flush=True)
        if not is_met:
            self.missed.append(f"{goal}: {figure}")


@dataclass(frozen=True)
class Timing:
    """Seconds of one run."""

    asking: float
    """From the moment at which all indexes ask to the last answer."""
    whole: float
    """From the launch to the end of the run."""
    rows: list[str]


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


def rows_of(deployment: Deployment, part: str = PART) -> list[str]:
    """The published rows."""
    key = PartitionKey(TASK, "generated", part)
    return [row.model_dump_json() for row in Store(deployment.store).read(key, GeneratedExample)]


def fillers(deployment: Deployment) -> list[Pod]:
    """The running pods of Indexed Jobs."""
    with deployment.cluster.lock:
        pods = list(deployment.cluster.ever)
    return [pod for pod in pods if pod.job.startswith("sdg-fill-") and pod.phase == "Running"]


def timed(rows: int, indexes: int, seconds: float) -> Timing:
    """One run of a partition by so many indexes."""
    with teacher_server(SteadyTeacher()) as teacher:
        teacher.seconds = seconds
        with prepared(teacher, rows, indexes) as deployment:
            teacher.hold_after(0)
            launched = time.monotonic()
            launch(deployment, indexes)
            deployment.wait(lambda: teacher.received >= indexes * CONCURRENCY, PATIENCE)
            began = time.monotonic()
            teacher.resume()
            while teacher.admitted < rows and not deployment.is_finished():
                time.sleep(0.02)
            asking = time.monotonic() - began + seconds
            deployment.wait(deployment.is_finished, PATIENCE)
            whole = time.monotonic() - launched
            assert deployment.status is dg.DagsterRunStatus.SUCCESS, deployment.messages()[-9:]
            return Timing(asking, whole, rows_of(deployment))


def disturb(rows: int, seconds: float, alone: Timing, findings: Findings) -> None:
    """Four indexes, of which one is killed and one evicted in the middle."""
    with teacher_server(SteadyTeacher()) as teacher:
        teacher.seconds = seconds
        with prepared(teacher, rows, 4) as deployment:
            launch(deployment, 4)
            deployment.wait(lambda: teacher.admitted > rows / 2, PATIENCE)
            killed, evicted, *_ = fillers(deployment)
            deployment.cluster.kill_for_memory(killed)
            with deployment.cluster.lock:
                deployment.cluster.evict(evicted)
            deployment.wait(deployment.is_finished, PATIENCE)
            same = rows_of(deployment) == alone.rows
            findings.check(
                same and len(alone.rows) >= 0.9 * rows,
                "a kill and an eviction change no row",
                f"{len(alone.rows)} rows, {'' if same else 'not '}equal",
            )
            again = teacher.admitted - rows
            most = 2 * CONCURRENCY + MOST_UNSENT
            findings.check(
                again <= most,
                "nothing is answered twice but what was under way",
                f"{again} of {rows} answered again, at most {most}: under way in two pods, and "
                "not yet in a segment of the killed one",
            )


def fail_one(findings: Findings) -> None:
    """One seed of the second of two partitions is refused for good."""
    with (
        teacher_server(SteadyTeacher()) as teacher,
        prepared(teacher, FEW, 2, parts=2) as deployment,
    ):
        key = PartitionKey(TASK, "normalized", OTHER)
        seeds = [row.question for row in Store(deployment.store).read(key, Example)]
        teacher.refused_words = seeds[-1]
        launch(deployment, 2, parts=2)
        deployment.wait(deployment.is_finished, PATIENCE)
        asset = dg.AssetKey([TASK, "generated"])
        published = deployment.instance.get_materialized_partitions(asset)
        findings.check(
            published == {PART},
            "a permanent failure leaves the other partition published",
            f"published: {', '.join(sorted(published)) or 'none'}",
        )
        teacher.refused_words, answered = "", teacher.answered.copy()
        launch(deployment, 2, parts=2)
        deployment.wait(deployment.is_finished, PATIENCE)
        twice = (teacher.answered - answered).keys() & answered.keys()
        is_done = deployment.status is dg.DagsterRunStatus.SUCCESS
        findings.check(
            is_done and not twice and teacher.admitted == 2 * FEW,
            "a new run asks only for what is missing",
            f"{teacher.admitted - answered.total()} of {2 * FEW} asked, {len(twice)} twice",
        )


def refuse_and_cancel(findings: Findings) -> None:
    """A quota refuses the pods at first; later the run is cancelled."""
    with teacher_server(SteadyTeacher()) as teacher, prepared(teacher, FEW, 4) as deployment:
        cluster = deployment.cluster
        cluster.refused = {"generated": REFUSAL}
        teacher.hold_after(8)
        launch(deployment, 4)
        deployment.wait(lambda: any(e["reason"] == "FailedCreate" for e in cluster.events))
        began = time.monotonic()
        deployment.wait_for_message(REFUSAL)
        seconds = time.monotonic() - began
        findings.check(
            seconds <= TELL_SECONDS, "a refused quota is told at once", f"{seconds:.1f} s"
        )
        cluster.refused = {}
        deployment.wait(lambda: teacher.holds and len(fillers(deployment)) == 4, PATIENCE)
        pods = fillers(deployment)
        began = time.monotonic()
        deployment.terminate()
        for pod in pods:
            wait_until_gone(pod, seconds=60)
        seconds = time.monotonic() - began
        findings.check(seconds <= STOP_SECONDS, "a cancelled run has no pods", f"{seconds:.1f} s")
        deployment.wait(deployment.is_finished)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=0.3, help="that an answer takes")
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    findings = Findings()
    refuse_and_cancel(findings)
    fail_one(findings)
    timings: dict[int, Timing] = {}
    for indexes in (1, *SPEEDUPS):
        timing = timings[indexes] = timed(options.rows, indexes, options.seconds)
        print(
            f"{indexes:>2} indexes: {options.rows} rows in {timing.asking:.1f} s, "
            f"{timing.whole:.1f} s from launch to published",
            flush=True,
        )
    for indexes, least in SPEEDUPS.items():
        ratio = timings[1].asking / timings[indexes].asking
        goal = f"{indexes} indexes are {least} times as fast as one"
        findings.check(ratio >= least, goal, f"{ratio:.1f} times")
        same = timings[indexes].rows == timings[1].rows
        findings.check(same, f"{indexes} indexes publish the rows of one", f"{same}")
    disturb(options.rows, options.seconds / 4, timings[1], findings)
    for goal in findings.missed:
        print(f"missed: {goal}", file=sys.stderr)
    return bool(findings.missed)


if __name__ == "__main__":
    sys.exit(main())
