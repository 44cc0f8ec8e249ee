"""One run of 20 subtasks through all five stages, on a cluster with many failures."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from sdg_assets.cluster.settings import cluster_settings
from sdg_assets_tests.cluster.arithmetic_teacher import ArithmeticTeacher, arithmetic_teacher
from sdg_assets_tests.cluster.cluster import GPU, Pod, wait_for, wait_until_gone
from sdg_assets_tests.cluster.deployment import IMAGE, SUBTASKS, TASK, Deployment, deployed
from sdg_assets_tests.cluster.rules import broken_rules
from sdg_assets_tests.conftest import forget_settings
from sdg_assets_tests.support.stages import TASK_ASSETS, TEACHER_ASSETS

CONCURRENCY = 4
# A warning of the Kubernetes client about its own HTTP library.
pytestmark = pytest.mark.filterwarnings("ignore:HTTPResponse.getheader:DeprecationWarning")


def test_a_run_outlives_every_failure_and_asks_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        arithmetic_teacher() as teacher,
        deployed(tmp_path, teacher.url, monkeypatch) as deployment,
    ):
        forget_settings()
        cluster_settings.cache_clear()
        cluster = deployment.cluster

        cluster.unpullable = {"seeds"}
        deployment.launch(*TASK_ASSETS)
        text = deployment.wait_for_message("Given up after")
        assert f"cannot pull {IMAGE} (" in text
        assert "image pull secret" in text
        cluster.unpullable = set()
        assert len([m for m in deployment.messages() if "Waiting, at most 2 s: pod" in m]) == 1

        cluster.refused = {"normalized": "exceeded quota: sdg, requested: pods=1, used: pods=30"}
        text = deployment.wait_for_message("Waiting, at most 3 s: the cluster makes no pod")
        assert "FailedCreate" not in text
        assert "exceeded quota: sdg" in text
        assert "It asks for cpu" in text
        deployment.wait_for_message("admit it. Given up after")
        cluster.refused = {}

        cluster.lose_node(wait_for(cluster, "normalized"))
        text = deployment.wait_for_message("its node was lost")
        assert "NodeNotReady: Node is not ready" in text

        deployment.wait_for_message("Waiting, at most 3 s: pod")
        text = deployment.wait_for_message("fits on no node: 0/1 nodes are available")
        assert f"{GPU} 1" in text
        assert "SDG_K8S_PODS" in text
        deployment.wait_for_message(
            "(catalog/teachers.yaml, SDG_K8S_PODS, run tag sdg/pod). Given up"
        )
        teacher.hold_after(7)
        cluster.nodes["gpu-1"] = 2  # one more for a pod that is ending

        pod = _held(deployment, teacher)
        cluster.kill_for_memory(pod)
        teacher.drop()  # before the next pod sends requests
        teacher.hold_after(9)
        text = deployment.wait_for_message("OOMKilled")
        assert f"{pod.name} on gpu-1 was killed for lack of memory" in text
        assert "its limit is 2048Mi" in text
        assert "sdg/pod" in text

        pod = _held(deployment, teacher)
        with cluster.lock:
            cluster.evict(pod)
        deployment.wait(lambda: pod.deleted)
        teacher.drop()
        teacher.hold_after(11)
        # The health check says so if it looks before the step reports its end, or else the retry.
        deployment.wait_for_message(pod.job, "evicted")

        pod = _held(deployment, teacher)
        worker = wait_for(cluster, None)
        cluster.kill_for_memory(worker)
        deployment.wait(lambda: worker.phase == "Failed")
        assert "OOMKilled" in deployment.run_worker_diagnosis()
        deployment.monitor()
        assert wait_for(cluster, None) is not worker
        deployment.wait_for_message("Checking on status of in-progress step")
        assert wait_for(cluster, "generated") is pod  # the same pod: it kept running

        # A terminated run has no pods after 10 s, and its completion logs are unlocked.
        deployment.terminate()
        wait_until_gone(pod, seconds=10)
        deployment.wait(deployment.is_finished, seconds=10)
        terminated = deployment.status
        assert terminated is DagsterRunStatus.CANCELED
        deployment.wait_for_message("received termination signal, forwarding to steps")
        teacher.drop()
        deployment.instance.event_log_storage.free_concurrency_slots_for_run(deployment.run_id)
        opened = teacher.opened
        deployment.launch(*TASK_ASSETS[-3:])

        deployment.wait(deployment.is_finished, seconds=180)
        assert deployment.status is DagsterRunStatus.SUCCESS, deployment.messages()[-20:]
        for stage in TASK_ASSETS:
            done = deployment.instance.get_materialized_partitions(dg.AssetKey([TASK, stage]))
            assert done == set(SUBTASKS), stage

        # No answered request was sent again: every answer is one line of a log.
        assert deployment.logged_completions() == teacher.admitted
        assert teacher.admitted >= 4 * len(SUBTASKS)
        # Requests under way when pods ended three times, or dropped by the teacher then.
        assert teacher.received - teacher.admitted <= 3 * CONCURRENCY

        # One pod of `enriched`, with one GPU, served every partition from one teacher.
        (enriched,) = (pod for pod in cluster.ever if pod.stage == "enriched")
        assert enriched.container["resources"]["limits"][GPU] == "1"
        assert teacher.opened == opened + 2  # also `generated`, which continued after its end

        # The run's tag set the size of one pod, the run's config that of the other.
        resources_of = {p.stage: p.container["resources"] for p in cluster.ever}
        assert resources_of["generated"]["requests"]["cpu"] == "750m"
        assert resources_of["enriched"]["limits"]["memory"] == "3Gi"
        assert resources_of["enriched"]["requests"]["cpu"] == "500m"

        for job in cluster.jobs.values():
            assert broken_rules(job) == []
        assert {pod.gpus for pod in cluster.ever if pod.stage in TEACHER_ASSETS} == {1}
        # Steps made no API calls, and no call was forbidden by the roles.
        assert {account for account, _, _ in deployment.api.used} == {"sdg-control", "sdg-run"}
        assert deployment.api.used <= deployment.api.allowed


def _held(deployment: Deployment, teacher: ArithmeticTeacher) -> Pod:
    """The pod of `generated`, once its teacher holds requests and its log has lines."""
    pod = wait_for(deployment.cluster, "generated")
    deployment.wait(lambda: teacher.holds and deployment.logged_completions() == teacher.admitted)
    return pod
