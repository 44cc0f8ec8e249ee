"""What a person reads; the ends that the cluster run does not come to."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiClient, V1Pod

from sdg_assets.cluster.diagnosis import Obstacle, what_it_waits_for, why_it_failed

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _read(kind: str, body: dict[str, Any]) -> Any:
    """As the client reads it from the API server."""
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


def _disrupted(reason: str) -> dict[str, Any]:
    return {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]}


@pytest.mark.parametrize(
    ("status", "said"),
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
            "low on resource: ephemeral-storage. What",
        ),
        (_state(terminated={"exitCode": 139, "reason": "Error"}), "ended with exit code 139"),
    ],
)
def test_a_failed_pod_says_what_happened_and_that_nothing_is_lost(
    status: dict[str, Any], said: str
) -> None:
    message = why_it_failed("job", [_pod(**status)], [])
    assert said in message
    assert "pod job-abcde on gpu-7" in message
    assert "a retry asks only for the rest" in message


def test_a_pod_that_is_gone_is_told_by_its_events_or_by_where_it_was_seen() -> None:
    event = _read(
        "CoreV1Event",
        {
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Pod", "name": "job-abcde"},
            "type": "Warning",
            "reason": "NodeNotReady",
            "message": "Node is not ready",
        },
    )
    told = why_it_failed("job", [], [event, event], "job-abcde on gpu-7")
    assert "last seen as job-abcde on gpu-7" in told
    assert told.count("NodeNotReady: Node is not ready") == 1
    assert "no event tells why" in why_it_failed("job", [], [])


def test_a_pod_that_names_a_secret_that_is_not_there_says_so() -> None:
    stuck = {"reason": "CreateContainerConfigError", "message": 'secret "sdg-postgresql" not found'}
    pod = _pod(**{"phase": "Pending", **_state(waiting=stuck)})
    waiting = what_it_waits_for([pod], [], NOW)
    assert waiting
    assert waiting.obstacle is Obstacle.CONFIGURATION
    assert waiting.seconds == 90
    assert 'secret "sdg-postgresql" not found' in waiting.text
    assert "Secret" in waiting.text


def test_the_clusters_own_words_are_punctuated_once() -> None:
    stuck = {"reason": "ErrImagePull", "message": "pull access denied. "}
    waiting = what_it_waits_for([_pod(**{"phase": "Pending", **_state(waiting=stuck)})], [], NOW)
    assert waiting
    assert "cannot pull i:1 (ErrImagePull: pull access denied). Check" in waiting.text


def test_a_pod_that_starts_or_runs_waits_for_nothing() -> None:
    starting = _pod(**{"phase": "Pending", **_state(waiting={"reason": "ContainerCreating"})})
    assert what_it_waits_for([starting], [], NOW) is None
    assert what_it_waits_for([_pod(phase="Running")], [], NOW) is None
