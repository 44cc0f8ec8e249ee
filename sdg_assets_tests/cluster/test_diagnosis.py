"""Failure messages for the cases that the cluster run does not produce."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiClient, V1Pod

from sdg_assets.cluster.diagnosis import (
    Obstacle,
    external_cause,
    failure_reason,
    pod_refusal,
    queued_text,
    start_obstacle,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _read(kind: str, body: dict[str, Any]) -> Any:
    """The object, deserialized as by the client."""
    return ApiClient().deserialize(SimpleNamespace(data=json.dumps(body)), kind)


def _pod(**status: Any) -> V1Pod:
    body = {
        "metadata": {
            "name": "job-abcde",
            "creationTimestamp": (NOW - timedelta(seconds=90)).isoformat(),
        },
        "spec": {"nodeName": "gpu-7", "containers": [{"name": "dagster", "image": "i:1"}]},
        "status": {"phase": "Failed", **status},
    }
    pod: V1Pod = _read("V1Pod", body)
    return pod


def _state(**state: Any) -> dict[str, Any]:
    status = {"name": "dagster", "image": "i:1", "imageID": "", "ready": False, "restartCount": 0}
    return {"containerStatuses": [{**status, "state": state}]}


def _event(of: str, name: str, reason: str, message: str, kind: str = "Warning") -> Any:
    body = {"metadata": {"name": "e"}, "involvedObject": {"kind": of, "name": name}}
    return _read("CoreV1Event", {**body, "type": kind, "reason": reason, "message": message})


def _disrupted(reason: str) -> dict[str, Any]:
    return {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (_disrupted("PreemptionByScheduler"), "preempted by a pod of higher priority"),
        (_disrupted("DeletionByTaintManager"), "its node is not ready"),
        (_disrupted("NewInKubernetes"), "disrupted (NewInKubernetes)"),
        (
            {"reason": "OutOfnvidia.com/gpu", "message": "Pod was rejected: requested: 1, used: 8"},
            "OutOfnvidia.com/gpu: Pod was rejected",
        ),
        (
            {"reason": "Evicted", "message": "The node was low on resource: ephemeral-storage."},
            "low on resource: ephemeral-storage. All",
        ),
        (_state(terminated={"exitCode": 139, "reason": "Error"}), "ended with exit code 139"),
    ],
)
def test_a_failed_pod_says_what_happened_and_that_nothing_is_lost(
    status: dict[str, Any], expected: str
) -> None:
    message = failure_reason("job", [_pod(**status)], [])
    assert expected in message
    assert "pod job-abcde on gpu-7" in message
    assert "a retry asks only for the rest" in message


def test_a_pod_out_of_memory_says_where_its_own_size_is_set() -> None:
    ended = _state(terminated={"exitCode": 137, "reason": "OOMKilled"})
    filling, publishing = _pod(**ended), _pod(**ended)
    publishing.metadata.labels = {"sdg/stage": "generated", "sdg/publishes": "true"}
    assert 'sdg/pod={"memory_gib": …}' in failure_reason("job", [filling], [])
    message = failure_reason("job", [publishing], [])
    assert 'sdg/pod={"publish": {"memory_gib": …}}' in message
    assert 'SDG_K8S_PODS={"generated": {"publish": {"memory_gib": …}}}' in message
    assert "SDG_CONCURRENCY" not in message


def test_a_pod_that_is_gone_is_told_by_its_events_or_by_where_it_was_seen() -> None:
    event = _event("Pod", "job-abcde", "NodeNotReady", "Node is not ready")
    failure = failure_reason("job", [], [event, event], "job-abcde on gpu-7")
    assert "last seen as job-abcde on gpu-7" in failure
    assert failure.count("NodeNotReady: Node is not ready") == 1
    assert "no event says why" in failure_reason("job", [], [])


def test_a_pod_that_names_a_secret_that_is_not_there_says_so() -> None:
    stuck = {"reason": "CreateContainerConfigError", "message": 'secret "sdg-postgresql" not found'}
    pod = _pod(**{"phase": "Pending", **_state(waiting=stuck)})
    waiting = start_obstacle([pod], [], NOW)
    assert waiting
    assert waiting.obstacle is Obstacle.CONFIGURATION
    assert waiting.seconds == 90
    assert 'secret "sdg-postgresql" not found' in waiting.text
    assert "Secret" in waiting.text


@pytest.mark.parametrize("reason", ["CreateContainerError", "RunContainerError"])
def test_a_pod_with_its_own_users_that_cannot_start_names_what_its_volumes_need(
    reason: str,
) -> None:
    words = "failed to set MOUNT_ATTR_IDMAP on /var/lib/kubelet/pods/…: invalid argument"
    stuck = _state(waiting={"reason": reason, "message": words})
    plain, own_users = (_pod(**{"phase": "Pending", **stuck}) for _ in range(2))
    own_users.spec.host_users = False
    told = [start_obstacle([pod], [], NOW) for pod in (plain, own_users)]
    assert ["idmapped mounts (ext4" in waiting.text for waiting in told if waiting] == [False, True]


def test_a_process_that_the_runtime_could_not_start_says_why() -> None:
    words = "failed to create containerd task: failed to set MOUNT_ATTR_IDMAP: invalid argument"
    failed = _pod(**_state(terminated={"exitCode": 128, "reason": "StartError", "message": words}))
    failed.spec.host_users = False
    message = failure_reason("job", [failed], [])
    assert words in message
    assert "not NFS" in message


def test_a_job_whose_pod_is_refused_says_so_with_the_clusters_words() -> None:
    job = _read(
        "V1Job",
        {
            "metadata": {
                "name": "job",
                "creationTimestamp": (NOW - timedelta(seconds=40)).isoformat(),
            },
            "spec": {"template": {"spec": {"containers": [{"name": "dagster", "image": "i:1"}]}}},
        },
    )
    refusal = _event("Job", "job", "FailedCreate", 'service account "sdg-stpe" not found')
    assert pod_refusal(job, [], NOW) is None
    waiting = pod_refusal(job, [refusal], NOW)
    assert waiting
    assert waiting.obstacle is Obstacle.REFUSED
    assert waiting.seconds == 40
    assert 'no pod for Job job (service account "sdg-stpe" not found)' in waiting.text
    assert "SDG_K8S_SERVICE_ACCOUNT" in waiting.text


def test_a_job_in_a_queue_says_what_it_waits_for_and_where_kueue_says_why() -> None:
    asks = {"requests": {"nvidia.com/gpu": "2", "memory": "41Gi"}}
    container = {"name": "dagster", "image": "i:1", "resources": asks}
    body = {
        "metadata": {"name": "job", "namespace": "sdg"},
        "spec": {"suspend": True, "template": {"spec": {"containers": [container]}}},
    }
    text = queued_text(_read("V1Job", body))
    assert "until there is quota for nvidia.com/gpu 2, memory 41Gi" in text
    assert "kubectl -n sdg describe workloads" in text


def test_a_step_that_ended_by_itself_is_not_said_to_have_been_ended() -> None:
    finished = _pod(**{"phase": "Succeeded"}, **_state(terminated={"exitCode": 0}))
    assert external_cause("job", [finished], []) is None
    assert external_cause("job", [_pod(phase="Running")], []) is None
    evicted = _pod(phase="Running", **_disrupted("EvictionByEvictionAPI"))
    assert "because its node is drained" in (external_cause("job", [evicted], []) or "")
    preempted = _event("Pod", "job-abcde", "Preempted", "by pod urgent", kind="Normal")
    assert "Preempted: by pod urgent" in (external_cause("job", [], [preempted]) or "")


def test_the_clusters_own_words_are_punctuated_once() -> None:
    stuck = {"reason": "ErrImagePull", "message": "pull access denied. "}
    waiting = start_obstacle([_pod(**{"phase": "Pending", **_state(waiting=stuck)})], [], NOW)
    assert waiting
    assert "cannot pull i:1 (ErrImagePull: pull access denied). Check" in waiting.text


def test_a_pod_that_starts_or_runs_waits_for_nothing() -> None:
    starting = _pod(**{"phase": "Pending", **_state(waiting={"reason": "ContainerCreating"})})
    assert start_obstacle([starting], [], NOW) is None
    assert start_obstacle([_pod(phase="Running")], [], NOW) is None
