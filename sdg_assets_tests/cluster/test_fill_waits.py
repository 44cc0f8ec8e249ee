"""Indexed Jobs whose pods do not start, or run for long: what is logged, and what is given up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import (
    V1Container,
    V1ContainerState,
    V1ContainerStateWaiting,
    V1ContainerStatus,
    V1Job,
    V1JobSpec,
    V1JobStatus,
    V1ObjectMeta,
    V1Pod,
    V1PodCondition,
    V1PodSpec,
    V1PodStatus,
    V1PodTemplateSpec,
)

from sdg_assets.cluster import fill_jobs
from sdg_assets.cluster.fill_jobs import FillJobs, GivenUpError
from sdg_assets.cluster.fill_report import FillReport
from sdg_assets.cluster.indexed_jobs import INDEX_ANNOTATION
from sdg_assets.cluster.settings import ClusterSettings
from sdg_assets.errors import TransientError
from sdg_assets.settings import Settings

JOB = "sdg-fill-a"
LONG_AGO = datetime.now(UTC) - timedelta(days=3)
NO_ROOM = {
    "conditions": [
        V1PodCondition(
            type="PodScheduled",
            status="False",
            reason="Unschedulable",
            message="0/3 nodes are available",
            last_transition_time=LONG_AGO,
        )
    ]
}
NO_IMAGE = {
    "container_statuses": [
        V1ContainerStatus(
            name="dagster",
            image="gpu:1",
            image_id="",
            ready=False,
            restart_count=0,
            state=V1ContainerState(waiting=V1ContainerStateWaiting(reason="ImagePullBackOff")),
        )
    ]
}


def pod(index: int, phase: str, **status: Any) -> V1Pod:
    annotations = {INDEX_ANNOTATION: str(index)}
    name = f"{JOB}-{index}-abcde"
    return V1Pod(
        metadata=V1ObjectMeta(name=name, creation_timestamp=LONG_AGO, annotations=annotations),
        spec=V1PodSpec(containers=[V1Container(name="dagster", image="gpu:1")]),
        status=V1PodStatus(phase=phase, **status),
    )


@dataclass
class Watch:
    """A Job of some indexes, the worker that looks at it, and a clock."""

    monkeypatch: pytest.MonkeyPatch
    of: int = 2
    pods: list[V1Pod] = field(default_factory=list)
    done: str = ""
    logged: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.monkeypatch.setattr(fill_jobs, "time", SimpleNamespace(monotonic=lambda: self.seconds))
        core = SimpleNamespace(
            list_namespaced_pod=lambda *_, **__: SimpleNamespace(items=self.pods),
            list_namespaced_event=lambda *_, **__: SimpleNamespace(items=[]),
            delete_namespaced_pod=lambda *_: None,
        )
        batch = SimpleNamespace(
            read_namespaced_job_status=lambda *_: self.body,
            delete_namespaced_job=lambda name, *_, **__: self.deleted.append(name),
        )
        api = SimpleNamespace(batch_api=batch, core_api=core)
        self.jobs = FillJobs(api, ClusterSettings())

    @property
    def body(self) -> V1Job:
        phases = [pod.status.phase for pod in self.pods]
        active = len([phase for phase in phases if phase in ("Pending", "Running")])
        spec = V1JobSpec(template=V1PodTemplateSpec(), completions=self.of, parallelism=self.of)
        status = V1JobStatus(
            active=active, ready=phases.count("Running"), completed_indexes=self.done
        )
        return V1Job(metadata=V1ObjectMeta(name=JOB), spec=spec, status=status)

    def check(self, after: float = 20.0) -> FillReport | None:
        """Looks at the Job that many seconds later."""
        self.seconds += after
        return self.jobs.check(JOB, "sdg", self.logged.append)

    def checks(self, minutes: int) -> Iterable[FillReport | None]:
        """Looks at the Job every 20 seconds for so long."""
        return [self.check() for _ in range(minutes * 3)]


def test_a_job_none_of_whose_pods_begins_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch, pods=[pod(0, "Pending", **NO_ROOM), pod(1, "Pending", **NO_ROOM)])
    watch.checks(minutes=29)
    with pytest.raises(GivenUpError, match="fits on no node"):
        watch.checks(minutes=2)
    assert watch.deleted == [JOB]


@pytest.mark.parametrize("obstacle", [NO_ROOM, NO_IMAGE])
def test_a_job_whose_last_pods_do_not_start_is_given_up_and_the_rest_is_published(
    obstacle: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch, pods=[pod(0, "Running"), pod(1, "Pending", **obstacle)])
    assert not any(watch.checks(minutes=90))  # one index runs
    watch.pods[0], watch.done = pod(0, "Succeeded"), "0"
    assert watch.check() is None  # an index that waited for room may start now
    assert not watch.deleted
    reports = [report for report in watch.checks(minutes=31) if report]
    assert reports
    (failure,) = reports[0].failures
    assert failure.index == 1
    assert "Given up after" in failure.text
    assert isinstance(reports[0].missing("t/a"), TransientError)
    assert watch.deleted[0] == JOB


def test_a_job_whose_first_pod_failed_and_whose_others_do_not_start_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = pod(0, "Failed")
    watch = Watch(monkeypatch, pods=[failed, pod(0, "Pending", **NO_IMAGE)])
    watch.check()
    with pytest.raises(GivenUpError, match="cannot pull"):
        watch.checks(minutes=6)


def test_a_job_that_runs_for_hours_says_so_often_enough_not_to_count_as_stalled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Watch(monkeypatch, of=16, pods=[pod(index, "Running") for index in range(16)])
    times = []
    for _ in range(6 * 180):
        before = len(watch.logged)
        watch.check()
        times += [watch.seconds] * (len(watch.logged) - before)
    assert max(b - a for a, b in pairwise(times)) <= 11 * 60 < Settings().alert_stalled_minutes * 60
    assert len(times) <= 6 * 6 + 1
    assert watch.logged[-1] == f"Job {JOB}: 0 of 16 indexes are done; 16 pods run"


def test_a_job_none_of_whose_pods_runs_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch, pods=[pod(0, "Pending"), pod(1, "Pending")])
    watch.checks(minutes=60)
    assert watch.logged == [f"Job {JOB}: 0 of 2 indexes are done"]
