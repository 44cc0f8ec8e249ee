"""Turns the state and events of a step's pod into a message that says what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sdg_assets.cluster.pods import PUBLISHES_LABEL

if TYPE_CHECKING:
    from kubernetes.client import (
        CoreV1Event,
        V1Container,
        V1ContainerStatus,
        V1Job,
        V1JobStatus,
        V1Pod,
    )

KEPT = "All answers so far are in the completion log: a retry asks only for the rest."
CANNOT_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
CANNOT_START = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
# Reasons of a container whose process the runtime could not start.
COULD_NOT_START = {"StartError", "ContainerCannotRun"}
# Reasons of the pod's condition DisruptionTarget.
DISRUPTIONS = {
    "PreemptionByScheduler": "preempted by a pod of higher priority. To raise its priority, set "
    "SDG_K8S_GPU_PRIORITY_CLASS.",
    "DeletionByTaintManager": "deleted because its node is not ready or is being drained.",
    "EvictionByEvictionAPI": "evicted, for example because its node is drained.",
    "DeletionByPodGC": "lost because its node no longer exists.",
    "TerminationByKubelet": "ended by its node, which ran out of a resource or shut down.",
}


# Events of type Normal that say why a pod ended. Other Normal events are routine.
ENDINGS = {"Preempted", "TaintManagerEviction", "Evicted", "DeletingNode", "NodeShutdown"}


class Obstacle(StrEnum):
    """Why a pod cannot start."""

    IMAGE = "its image cannot be pulled"
    CONFIGURATION = "a ConfigMap, Secret or volume is missing or wrong"
    ROOM = "it fits on no node"
    REFUSED = "the cluster refuses to create it"


@dataclass(frozen=True)
class Waiting:
    """A step's Job whose pod has not started.

    Attributes:
        obstacle: Why the pod cannot start.
        pod: The pod's name; the Job's name if it has no pod.
        seconds: How long it has been waiting.
        text: The reason, and what to do.
    """

    obstacle: Obstacle
    pod: str
    seconds: float
    text: str


def failure_reason(
    job: str, pods: Sequence[V1Pod], events: Iterable[CoreV1Event], last_seen: str | None = None
) -> str:
    """Why a step's Job failed, and what to do, as sentences.

    Args:
        job: The Job's name.
        pods: The Job's pods that still exist.
        events: Events about the pods.
        last_seen: Pod and node from an earlier check.
    """
    if not pods:
        where = f", last seen as {last_seen}," if last_seen else ""
        reports = _reports(events) or "no event says why"
        return (
            f"the pod of Job {job}{where} is gone: its node was lost, or it was evicted, preempted "
            f"or deleted ({reports}). {KEPT}"
        )
    pod = max(pods, key=lambda p: _time(p.metadata.creation_timestamp))
    name = f"pod {pod.metadata.name}" + (f" on {pod.spec.node_name}" if pod.spec.node_name else "")
    for status in pod.status.container_statuses or []:
        ended = status.state.terminated if status.state else None
        if ended and ended.reason == "OOMKilled":
            return (
                f"{name} was killed for lack of memory (OOMKilled; its limit is "
                f"{_memory_limit(pod.spec.containers, status)}). {_more_memory(pod)}. {KEPT}"
            )
    for condition in pod.status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            disruption = DISRUPTIONS.get(condition.reason, f"disrupted ({condition.reason}).")
            return f"{name} was {disruption} {_sentence(condition.message)}{KEPT}"
    if pod.status.reason:
        # Set by the kubelet: Evicted (the node's disk or memory), OutOfnvidia.com/gpu, NodeLost, …
        return f"{name}: {pod.status.reason}: {_sentence(pod.status.message)}{KEPT}"
    for status in pod.status.container_statuses or []:
        ended = status.state.terminated if status.state else None
        if ended and ended.reason in COULD_NOT_START:
            return (
                f"{name} cannot start ({ended.reason}: {_bare(ended.message)})"
                f"{_idmap_hint(pod)}. {KEPT}"
            )
        if ended:
            return (
                f"{name} ended with exit code {ended.exit_code} ({ended.reason or 'no reason'}) "
                f"before its step did. See `kubectl logs {pod.metadata.name}`. {KEPT}"
            )
    reports = _reports(events) or "no event says why"
    if pod.metadata.deletion_timestamp:
        return (
            f"{name} was deleted by a person or with its node, or was evicted or preempted "
            f"({reports}). {KEPT}"
        )
    return f"{name} is {pod.status.phase or 'unknown'} and its Job failed ({reports}). {KEPT}"


def external_cause(
    job: str, pods: Sequence[V1Pod], events: Iterable[CoreV1Event], last_seen: str | None = None
) -> str | None:
    """The external cause that ended a step; None if the step ended by itself.

    Args:
        job: The Job's name.
        pods: The Job's pods that still exist.
        events: Events about the pods.
        last_seen: Pod and node from an earlier check.
    """
    disrupted = any(
        pod.metadata.deletion_timestamp
        or pod.status.reason
        or any(c.type == "DisruptionTarget" for c in pod.status.conditions or [])
        for pod in pods
    )
    return failure_reason(job, pods, events, last_seen) if disrupted or not pods else None


def start_obstacle(
    pods: Sequence[V1Pod], events: Iterable[CoreV1Event], now: datetime | None = None
) -> Waiting | None:
    """Why the Job's pod does not start; None if nothing is wrong with it.

    Args:
        pods: The Job's pods.
        events: Events about the pods.
        now: Timezone-aware; the current time by default.
    """
    pending = [pod for pod in pods if pod.status.phase == "Pending"]
    if not pending:
        return None
    pod, now = pending[0], now or datetime.now(UTC)
    age = (now - _time(pod.metadata.creation_timestamp)).total_seconds()
    name = pod.metadata.name
    for status in pod.status.container_statuses or []:
        waiting = status.state.waiting if status.state else None
        if waiting and waiting.reason in CANNOT_PULL:
            text = (
                f"pod {name} cannot pull {status.image} ({waiting.reason}: "
                f"{_bare(waiting.message) or _reports(events)}). Check the image's name and tag, "
                "whether it was pushed or loaded into the node, and the image pull secret"
            )
            return Waiting(Obstacle.IMAGE, name, age, text)
        if waiting and waiting.reason in CANNOT_START:
            text = (
                f"pod {name} cannot start ({waiting.reason}: {_bare(waiting.message)}). A "
                f"ConfigMap, Secret or volume that it uses is missing or wrong{_idmap_hint(pod)}"
            )
            return Waiting(Obstacle.CONFIGURATION, name, age, text)
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.reason == "Unschedulable":
            text = (
                f"pod {name} fits on no node: {_sentence(condition.message)}It asks for "
                f"{_requests(pod.spec.containers)}. Free or add nodes, or reduce its requests "
                "(catalog/teachers.yaml, SDG_K8S_PODS, run tag sdg/pod)"
            )
            since = condition.last_transition_time or pod.metadata.creation_timestamp
            return Waiting(Obstacle.ROOM, name, (now - _time(since)).total_seconds(), text)
    return None


def pod_refusal(
    job: V1Job, events: Iterable[CoreV1Event], now: datetime | None = None
) -> Waiting | None:
    """Why the cluster creates no pod for a Job; None if it has not refused to.

    Such a Job stays active and never fails: a quota, Pod Security, or a missing service account or
    priority class prevents its pod, and only the Job's own events say so.

    Args:
        job: The Job, which has no pod.
        events: Events about the Job itself.
        now: Timezone-aware; the current time by default.
    """
    refusals = [event.message for event in events if event.reason == "FailedCreate"]
    if not refusals:
        return None
    age = (now or datetime.now(UTC)) - _time(job.metadata.creation_timestamp)
    text = (
        f"the cluster makes no pod for Job {job.metadata.name} ({_bare(refusals[-1])}). It asks "
        f"for {_requests(job.spec.template.spec.containers)}. Raise the namespace's quota or wait "
        "until other pods end; or create the missing service account or priority class "
        "(SDG_K8S_SERVICE_ACCOUNT, SDG_K8S_PRIORITY_CLASS, SDG_K8S_GPU_PRIORITY_CLASS); or let Pod "
        "Security admit it"
    )
    return Waiting(Obstacle.REFUSED, job.metadata.name, age.total_seconds(), text)


def has_condition(status: V1JobStatus, kind: str) -> bool:
    """Whether a Job has a condition such as `Complete` or `Suspended`."""
    return any(c.type == kind and c.status == "True" for c in status.conditions or [])


def queued_text(job: V1Job) -> str:
    """What is said about a suspended Job, as one sentence."""
    return (
        f"Job {job.metadata.name} waits in its queue until there is quota for "
        f"{_requests(job.spec.template.spec.containers)}. Kueue's reason: kubectl -n "
        f"{job.metadata.namespace} describe workloads"
    )


def preempted_text(job: str) -> str:
    """What is said about a Job that was suspended while its pod ran."""
    return (
        f"Job {job} was suspended while its pod ran: Kueue has preempted it. To raise its priority "
        f"in the queue, set SDG_K8S_QUEUE_PRIORITY. {KEPT}"
    )


def complete_text(job: str) -> str:
    """What is said about a Job that is complete, while its step has not ended."""
    return (
        f"Job {job} is complete, but its step has not ended: its first pod was lost without a "
        f"report, and another one found the step begun. {KEPT}"
    )


def _reports(events: Iterable[CoreV1Event]) -> str:
    reports = [
        f"{e.reason}: {e.message}" for e in events if e.type == "Warning" or e.reason in ENDINGS
    ]
    return "; ".join(dict.fromkeys(reports))


def _sentence(message: str | None) -> str:
    """The cluster's message with a full stop and a space; empty if there is no message."""
    return f"{_bare(message)}. " if message else ""


def _bare(message: str | None) -> str:
    return (message or "").strip().rstrip(".")


def _idmap_hint(pod: V1Pod) -> str:
    if pod.spec.host_users is not False:
        return ""
    return (
        ". It has a user namespace of its own, for the sandbox (hostUsers: false): each of its "
        "volumes needs a file system with idmapped mounts (ext4, xfs, btrfs; not NFS), and the "
        'node Linux 6.3 and containerd 2.0. See "Store" in k8s/README.md'
    )


def _more_memory(pod: V1Pod) -> str:
    labels = pod.metadata.labels or {}
    if PUBLISHES_LABEL in labels:
        return (
            "It publishes what other pods have filled. Raise its memory_gib, for this run in the "
            'run tag sdg/pod={"publish": {"memory_gib": …}}, for all runs in '
            f'SDG_K8S_PODS={{"{labels.get("sdg/stage")}": {{"publish": {{"memory_gib": …}}}}}}'
        )
    return (
        'Raise memory_gib, for this run in the run tag sdg/pod={"memory_gib": …}, for all runs in '
        "SDG_K8S_PODS; or lower SDG_CONCURRENCY"
    )


def _memory_limit(containers: Iterable[V1Container], status: V1ContainerStatus) -> str:
    for container in containers:
        if container.name == status.name and container.resources and container.resources.limits:
            return str(container.resources.limits.get("memory", "none"))
    return "none"


def _requests(containers: Iterable[V1Container]) -> str:
    requests = [
        f"{name} {quantity}"
        for container in containers
        if container.resources and container.resources.requests
        for name, quantity in container.resources.requests.items()
    ]
    return ", ".join(requests) or "no specific resources"


def _time(stamp: datetime | None) -> datetime:
    return stamp or datetime.now(UTC)
