"""A step in a queue of Kueue that is preempted, and whose run worker and node are then lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import DagsterRunStatus

from sdg_assets.cluster.settings import cluster_settings
from sdg_assets_tests.cluster.arithmetic_teacher import SteadyTeacher
from sdg_assets_tests.cluster.cluster import Pod, wait_for
from sdg_assets_tests.cluster.deployment import SUBTASKS, TASK, Deployment, deployed
from sdg_assets_tests.conftest import forget_settings
from sdg_assets_tests.support.runs import failures, run
from sdg_assets_tests.support.teacher_server import teacher_server

pytestmark = pytest.mark.filterwarnings("ignore:HTTPResponse.getheader:DeprecationWarning")
ROWS = 20
PART = (SUBTASKS[0], SUBTASKS[0])


def test_a_step_that_is_preempted_and_then_lost_with_its_worker_is_retried_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        teacher_server(SteadyTeacher()) as teacher,
        deployed(
            tmp_path,
            teacher.url,
            monkeypatch,
            ROWS,
            SDG_RETRIES="4",
            SDG_K8S_QUEUE_NAME="gpus",
        ) as deployment,
    ):
        forget_settings()
        cluster_settings.cache_clear()
        cluster, instance = deployment.cluster, deployment.instance
        cluster.nodes["gpu-1"] = 1
        instance.event_log_storage.set_concurrency_slots("gpu", 1)
        assert not failures(run(TASK, ["seeds", "normalized"], subtasks=PART, instance=instance))

        teacher.hold_after(6)
        deployment.launch("generated", subtasks=PART)
        first = _admitted(deployment, teacher)
        deployment.wait_for_message(f"Job {first.job} waits in its queue", "nvidia.com/gpu 1")

        # The process is killed before it can report its end.
        cluster.preempt_jobs("gpus")
        deployment.wait(lambda: first.deleted)
        teacher.drop()
        teacher.hold_after(6)
        deployment.wait_for_message(f"Job {first.job} was suspended", "Kueue has preempted it")

        # The node with the run worker and the step's pod is lost.
        second = _admitted(deployment, teacher)
        assert second.job == f"{first.job}-1"
        assert first.job not in cluster.jobs
        worker = wait_for(cluster, None)
        cluster.lose_node(worker)
        cluster.lose_node(second)
        deployment.wait(lambda: second.has_ended and worker.has_ended)
        teacher.drop()
        deployment.monitor()

        third = _admitted(deployment, None)
        assert third.job == f"{first.job}-2"
        deployment.wait(deployment.is_finished)
        assert deployment.status is DagsterRunStatus.SUCCESS, deployment.messages()[-20:]
        assert not [text for text in deployment.messages() if "again even though" in text]
        assert deployment.api.used <= deployment.api.allowed


def _admitted(deployment: Deployment, teacher: SteadyTeacher | None) -> Pod:
    """The next pod of `generated`, once Kueue has admitted it and its teacher holds requests."""
    cluster = deployment.cluster
    earlier = [pod for pod in cluster.ever if pod.stage == "generated"]

    def is_queued() -> bool:
        with cluster.lock:
            return any(job["spec"].get("suspend") for job in cluster.jobs.values())

    deployment.wait(is_queued)
    deployment.wait_for_message("waits in its queue")
    cluster.admit_jobs("gpus")
    deployment.wait(lambda: len([p for p in cluster.ever if p.stage == "generated"]) > len(earlier))
    pod = wait_for(cluster, "generated")
    if teacher:
        deployment.wait(lambda: teacher.holds)
    return pod
