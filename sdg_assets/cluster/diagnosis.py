"""From what Kubernetes says of a step's pod to a sentence that a person can act on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Event, V1Container, V1ContainerStatus, V1Job, V1Pod

KEPT = "What the teacher had answered is in the completion log: a retry asks only for the rest."
CANNOT_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
CANNOT_START = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
# Reasons of the pod's condition DisruptionTarget.
DISRUPTIONS = {
    "PreemptionByScheduler": "preempted by a pod of higher priority. A priority class "
    "(SDG_K8S_GPU_PRIORITY_CLASS) says whom it yields to.",
    "DeletionByTaintManager": "removed because its node is not ready or is being emptied.",
    "EvictionByEvictionAPI": "evicted, as when a node is drained.",
    "DeletionByPodGC": "lost with its node, which is gone.",
    "TerminationByKubelet": "ended by its node, which ran short of something or shut down.",
}


# Events of type Normal that say why a pod ended; the others of that type are its daily life.
ENDINGS = {"Preempted", "TaintManagerEviction", "Evicted", "DeletingNode", "NodeShutdown"}


class Obstacle(StrEnum):
    """What keeps a pod from starting."""

    IMAGE = "its image cannot be pulled"
    CONFIGURATION = "a ConfigMap, Secret or volume is missing or wrong"
    ROOM = "it fits on no node"
    REFUSED = "the cluster refuses to make it"


@dataclass(frozen=True)
class Waiting:
    """A step's Job whose pod has not started.

    Attributes:
        obstacle: What is in its way.
        pod: The pod's name; the Job's, if it has no pod.
        seconds: For how long already.
        text: What it waits for, and what to do.
    """

    obstacle: Obstacle
    pod: str
    seconds: float
    text: str


def why_it_failed(
    job: str, pods: Sequence[V1Pod], events: Iterable[CoreV1Event], last_seen: str | None = None
) -> str:
    """Why a step's Job has no pod that goes on.

    Args:
        job: The Job's name.
        pods: Its pods, as far as they still exist.
        events: What was reported of them.
        last_seen: Pod and node of an earlier look.
    """
    if not pods:
        where = f", last seen as {last_seen}," if last_seen else ""
        told = _reports(events) or "no event tells why"
        return (
            f"the pod of Job {job}{where} is gone: its node was lost, or it was evicted, preempted "
            f"or deleted ({told}). {KEPT}"
        )
    pod = max(pods, key=lambda p: _time(p.metadata.creation_timestamp))
    name = f"pod {pod.metadata.name}" + (f" on {pod.spec.node_name}" if pod.spec.node_name else "")
    for status in pod.status.container_statuses or []:
        ended = status.state.terminated if status.state else None
        if ended and ended.reason == "OOMKilled":
            return (
                f"{name} was killed for lack of memory (OOMKilled; its limit is "
                f"{_memory_limit(pod.spec.containers, status)}). Give it more: memory_gib in run "
                'tag sdg/pod={"memory_gib": …} for this run, in SDG_K8S_PODS for all; or lower '
                f"SDG_CONCURRENCY. {KEPT}"
            )
    for condition in pod.status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            what = DISRUPTIONS.get(condition.reason, f"disrupted ({condition.reason}).")
            return f"{name} was {what} {_said(condition.message)}{KEPT}"
    if pod.status.reason:
        # The kubelet's: Evicted (disk, memory of the node), OutOfnvidia.com/gpu, NodeLost, …
        return f"{name}: {pod.status.reason}: {_said(pod.status.message)}{KEPT}"
    for status in pod.status.container_statuses or []:
        ended = status.state.terminated if status.state else None
        if ended:
            return (
                f"{name} ended with exit code {ended.exit_code} ({ended.reason or 'no reason'}) "
                f"before its step did. See `kubectl logs {pod.metadata.name}`. {KEPT}"
            )
    told = _reports(events) or "no event tells why"
    if pod.metadata.deletion_timestamp:
        return (
            f"{name} was deleted: by a person, or with its node, or evicted or preempted "
            f"({told}). {KEPT}"
        )
    return f"{name} is {pod.status.phase or 'unknown'} and its Job failed ({told}). {KEPT}"


def what_ended(
    job: str, pods: Sequence[V1Pod], events: Iterable[CoreV1Event], last_seen: str | None = None
) -> str | None:
    """What ended a step from outside; None if the step ended by itself.

    Args:
        job: The Job's name.
        pods: Its pods, as far as they still exist.
        events: What was reported of them.
        last_seen: Pod and node of an earlier look.
    """
    disrupted = any(
        pod.metadata.deletion_timestamp
        or pod.status.reason
        or any(c.type == "DisruptionTarget" for c in pod.status.conditions or [])
        for pod in pods
    )
    return why_it_failed(job, pods, events, last_seen) if disrupted or not pods else None


def what_it_waits_for(
    pods: Sequence[V1Pod], events: Iterable[CoreV1Event], now: datetime | None = None
) -> Waiting | None:
    """What keeps a pod from starting; None if nothing is wrong with it.

    Args:
        pods: The Job's pods.
        events: What was reported of them.
        now: Timezone-aware; the present if not given.
    """
    pending = [pod for pod in pods if pod.status.phase == "Pending"]
    if not pending:
        return None
    pod, now = pending[0], now or datetime.now(UTC)
    age = (now - _time(pod.metadata.creation_timestamp)).total_seconds()
    name = pod.metadata.name
    for status in pod.status.container_statuses or []:
        stuck = status.state.waiting if status.state else None
        if stuck and stuck.reason in CANNOT_PULL:
            text = (
                f"pod {name} cannot pull {status.image} ({stuck.reason}: "
                f"{_bare(stuck.message) or _reports(events)}). Check the image's name and tag, "
                "that it was pushed or loaded into the node, and the image pull secret"
            )
            return Waiting(Obstacle.IMAGE, name, age, text)
        if stuck and stuck.reason in CANNOT_START:
            text = (
                f"pod {name} cannot start ({stuck.reason}: {_bare(stuck.message)}). A "
                "ConfigMap, Secret or volume that it names is missing or wrong"
            )
            return Waiting(Obstacle.CONFIGURATION, name, age, text)
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.reason == "Unschedulable":
            text = (
                f"pod {name} fits on no node: {_said(condition.message)}It asks for "
                f"{_asked(pod.spec.containers)}. Free or add nodes, or let it ask for less "
                "(catalog/teachers.yaml, SDG_K8S_PODS, run tag sdg/pod)"
            )
            since = condition.last_transition_time or pod.metadata.creation_timestamp
            return Waiting(Obstacle.ROOM, name, (now - _time(since)).total_seconds(), text)
    return None


def why_it_has_no_pod(
    job: V1Job, events: Iterable[CoreV1Event], now: datetime | None = None
) -> Waiting | None:
    """Why the cluster makes no pod for a Job; None if it has not refused to.

    Such a Job is active and never fails: a quota, Pod Security, a service account or a priority
    class stands against its pod, and only the Job's own events say so.

    Args:
        job: The Job, which has no pod.
        events: What was reported of the Job itself.
        now: Timezone-aware; the present if not given.
    """
    refusals = [event.message for event in events if event.reason == "FailedCreate"]
    if not refusals:
        return None
    age = (now or datetime.now(UTC)) - _time(job.metadata.creation_timestamp)
    text = (
        f"the cluster makes no pod for Job {job.metadata.name} ({_bare(refusals[-1])}). It asks "
        f"for {_asked(job.spec.template.spec.containers)}. Raise the namespace's quota or wait "
        "until others are done; or create the service account or priority class that is missing "
        "(SDG_K8S_SERVICE_ACCOUNT, SDG_K8S_PRIORITY_CLASS, SDG_K8S_GPU_PRIORITY_CLASS); or let Pod "
        "Security admit it"
    )
    return Waiting(Obstacle.REFUSED, job.metadata.name, age.total_seconds(), text)


def _reports(events: Iterable[CoreV1Event]) -> str:
    reports = [
        f"{e.reason}: {e.message}" for e in events if e.type == "Warning" or e.reason in ENDINGS
    ]
    return "; ".join(dict.fromkeys(reports))


def _said(message: str | None) -> str:
    """The cluster's own words as a sentence before the next one."""
    return f"{_bare(message)}. " if message else ""


def _bare(message: str | None) -> str:
    return (message or "").strip().rstrip(".")


def _memory_limit(containers: Iterable[V1Container], status: V1ContainerStatus) -> str:
    for container in containers:
        if container.name == status.name and container.resources and container.resources.limits:
            return str(container.resources.limits.get("memory", "none"))
    return "none"


def _asked(containers: Iterable[V1Container]) -> str:
    asked = [
        f"{name} {quantity}"
        for container in containers
        if container.resources and container.resources.requests
        for name, quantity in container.resources.requests.items()
    ]
    return ", ".join(asked) or "nothing in particular"


def _time(stamp: datetime | None) -> datetime:
    return stamp or datetime.now(UTC)
