"""Divides one partition among the pods of an Indexed Job, on the emulated cluster.

python -m sdg_assets_tests.benchmarks.fan_out [--part speed] [--rows 4000] [--seconds 0.3]

The teacher is a server that answers after a fixed delay, so that waiting and not this machine's
CPU sets the pace. A run with 1, 4 and 16 indexes is timed from the moment at which every index has
requests under way to the last answer: the start of 16 Python processes on two cores is this
machine's, not the cluster's. The time from launch to the published partition is printed beside it.
One index keeps its pace, so only its first quarter of the rows is timed; the rest is answered at
once.

Exits 1 and names the goal if one is missed. The parts, each of which can be run alone:
- quota: a refused quota is told within 10 s; a cancelled run has no pods after 10 s;
- failure: a permanent failure in one partition leaves the other published, and a new run asks only
  for what is missing;
- speed: 4 indexes are 3.6 times as fast as one, 16 are 12 times as fast, their rows are the same,
  and they take as long as `sdg plan` says from the speed of one, within 15 %;
- kills: with a pod killed and another evicted in the middle, the published rows are byte for byte
  those of one worker, and the server answers nothing twice but what the pods had under way;
- plan: pods that load and fail, with answers of uneven length, take as long as planned, within
  15 %.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from sdg_assets.records import Example
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.benchmarks.fan_out_plan import compare_asking, plan_and_run
from sdg_assets_tests.benchmarks.fan_out_setting import (
    CONCURRENCY,
    OTHER,
    PART,
    PATIENCE,
    Findings,
    launch,
    prepared,
)
from sdg_assets_tests.cluster.arithmetic_teacher import SteadyTeacher
from sdg_assets_tests.cluster.cluster import wait_until_gone
from sdg_assets_tests.cluster.deployment import TASK
from sdg_assets_tests.cluster.divided import fillers, generated_rows
from sdg_assets_tests.support.runs import failures, run
from sdg_assets_tests.support.teacher_server import teacher_server

SPEEDUPS = {4: 3.6, 16: 12.0}
FEW = 60
"""Rows of a partition where speed is not measured."""
STOP_SECONDS, TELL_SECONDS = 10.0, 10.0
REFUSAL = "exceeded quota: sdg, requested: pods=1, used: pods=30"


@dataclass(frozen=True)
class Timing:
    """Seconds of one run."""

    asking: float
    """From the moment at which all indexes ask to the last answer."""
    whole: float
    """From the launch to the end of the run."""
    rows: list[str]


def timed(rows: int, indexes: int, seconds: float) -> Timing:
    """One run of a partition by so many indexes."""
    measured = rows // 4 if indexes == 1 else rows
    with teacher_server(SteadyTeacher()) as teacher:
        teacher.seconds = seconds
        with prepared(teacher, rows, indexes) as deployment:
            teacher.hold_after(0)
            launched = time.monotonic()
            launch(deployment, indexes)
            deployment.wait(lambda: teacher.received >= indexes * CONCURRENCY, PATIENCE)
            began = time.monotonic()
            teacher.resume()
            while teacher.admitted < measured and not deployment.is_finished():
                time.sleep(0.02)
            asking = (time.monotonic() - began + seconds) * rows / measured
            teacher.seconds = 0.0
            deployment.wait(deployment.is_finished, PATIENCE)
            whole = time.monotonic() - launched
            assert deployment.status is dg.DagsterRunStatus.SUCCESS, deployment.messages()[-9:]
            return Timing(asking, whole, generated_rows(deployment.store, PART))


def compare_speeds(rows: int, seconds: float, findings: Findings) -> None:
    """Runs with 1, 4 and 16 indexes."""
    timings: dict[int, Timing] = {}
    for indexes in (1, *SPEEDUPS):
        timing = timings[indexes] = timed(rows, indexes, seconds)
        print(
            f"{indexes:>2} indexes: {rows} rows in {timing.asking:.1f} s, "
            f"{timing.whole:.1f} s from launch to published",
            flush=True,
        )
    for indexes, least in SPEEDUPS.items():
        compare_asking(findings, rows, indexes, timings[1].asking, timings[indexes].asking)
        ratio = timings[1].asking / timings[indexes].asking
        goal = f"{indexes} indexes are {least} times as fast as one"
        findings.check(ratio >= least, goal, f"{ratio:.1f} times")
        same = timings[indexes].rows == timings[1].rows
        findings.check(same, f"{indexes} indexes publish the rows of one", f"{same}")


def rows_of_one(rows: int) -> list[str]:
    """The rows that one process publishes, without Jobs."""
    with teacher_server(SteadyTeacher()) as teacher, prepared(teacher, rows, 1) as deployment:
        result = run(TASK, ["generated"], subtasks=(PART, PART), instance=deployment.instance)
        assert not failures(result)
        return generated_rows(deployment.store, PART)


def disturb(rows: int, seconds: float, findings: Findings) -> None:
    """Four indexes, of which one is killed and one evicted in the middle."""
    alone = rows_of_one(rows)
    with teacher_server(SteadyTeacher()) as teacher:
        teacher.seconds = seconds / 4
        with prepared(teacher, rows, 4) as deployment:
            launch(deployment, 4)
            deployment.wait(lambda: teacher.admitted > rows / 2, PATIENCE)
            killed, evicted, *_ = fillers(deployment)
            deployment.cluster.kill_for_memory(killed)
            with deployment.cluster.lock:
                deployment.cluster.evict(evicted)
            deployment.wait(deployment.is_finished, PATIENCE)
            same = generated_rows(deployment.store, PART) == alone
            findings.check(
                same and len(alone) >= 0.9 * rows,
                "a kill and an eviction change no row",
                f"{len(alone)} rows, {'' if same else 'not '}equal",
            )
            again, most = teacher.admitted - rows, 2 * CONCURRENCY
            findings.check(
                again <= most,
                "nothing is answered twice but what was under way",
                f"{again} of {rows} answered again, at most {most} under way in two pods",
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


PARTS: dict[str, Callable[[Findings, argparse.Namespace], None]] = {
    "quota": lambda findings, _: refuse_and_cancel(findings),
    "failure": lambda findings, _: fail_one(findings),
    "speed": lambda findings, given: compare_speeds(given.rows, given.seconds, findings),
    "kills": lambda findings, given: disturb(given.rows, given.seconds, findings),
    "plan": lambda findings, _: plan_and_run(findings),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=0.3, help="that an answer takes")
    parser.add_argument("--part", choices=PARTS, action="append", help="only these parts")
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    os.environ["PYTHONWARNINGS"] = "ignore"
    findings = Findings()
    for part in options.part or PARTS:
        began = time.monotonic()
        PARTS[part](findings, options)
        print(f"       part {part}: {time.monotonic() - began:.0f} s", flush=True)
    for goal in findings.missed:
        print(f"missed: {goal}", file=sys.stderr)
    return bool(findings.missed)


if __name__ == "__main__":
    sys.exit(main())
