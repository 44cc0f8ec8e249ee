"""The test cluster's Job controller: Indexed and other Jobs, retries, pod failure policies."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdg_assets_tests.cluster.cluster import Cluster, Pod

Json = dict[str, Any]
BACKOFF_SECONDS = 0.5
"""Seconds before an index is tried again; Kubernetes waits 10 s, and twice as long each time."""


def job_fault(body: Json) -> str:
    """Why the API server would refuse a valid-looking Job; empty if it would not."""
    spec, name = body["spec"], body["metadata"]["name"]
    is_indexed = spec.get("completionMode") == "Indexed"
    if is_indexed and (spec.get("completions") is None or spec.get("parallelism") is None):
        return "spec.completions: Required value: when completion mode is Indexed"
    if "backoffLimitPerIndex" in spec and not is_indexed:
        return "spec.backoffLimitPerIndex: Invalid value: requires indexed completion mode"
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        return "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"
    if "podFailurePolicy" in spec and spec["template"]["spec"].get("restartPolicy") != "Never":
        return "spec.template.spec.restartPolicy: Invalid value: only Never is supported"
    actions = {rule["action"] for rule in spec.get("podFailurePolicy", {}).get("rules", [])}
    if "FailIndex" in actions and "backoffLimitPerIndex" not in spec:
        return "spec.podFailurePolicy.rules: Invalid value: requires the backoffLimitPerIndex"
    host = f"{name}-{spec['completions'] - 1}" if is_indexed else name
    return f"metadata.name: Invalid value: {host} has over 63 characters" * (len(host) > 63)


class JobController:
    """Makes the pods of one Job, and keeps its status."""

    def __init__(self, cluster: Cluster, job: Json) -> None:
        self._cluster, self._job = cluster, job
        self._name: str = job["metadata"]["name"]
        self._uid: str = job["metadata"]["uid"]
        spec = job["spec"]
        self._is_indexed = spec.get("completionMode") == "Indexed"
        self._count: int = spec.get("completions", 1)
        self._succeeded: set[int] = set()
        self._failed: set[int] = set()
        self._failures: dict[int, int] = {}
        """Index → failures that count."""
        self._failed_pods = 0
        self._ready_at: dict[int, float] = {}
        """Index → when it may be tried again."""

    def control(self) -> None:
        """Counts ended pods, creates missing ones, and writes the status."""
        status = self._job["status"]
        if any(condition["type"] in ("Complete", "Failed") for condition in _conditions(status)):
            return
        pods = [pod for pod in self._cluster.ever if pod.job == self._name and self._owns(pod)]
        for pod in pods:
            if pod.has_ended and not pod.is_accounted:
                pod.is_accounted = True
                self._count_end(pod)
        active = [pod for pod in pods if not pod.has_ended]
        over, is_suspended = self._over(), bool(self._job["spec"].get("suspend"))
        if over or is_suspended:
            for pod in active:
                if "deletionTimestamp" not in pod.body["metadata"]:
                    # Kubernetes stops to track a pod before it deletes it for a suspension: the
                    # pod counts neither as failed nor as succeeded.
                    pod.is_accounted = is_suspended
                    self._cluster.delete_pod(pod)
        else:
            self._make_pods({pod.index for pod in active})
        self._write_status(over if over and not active else None)

    def _owns(self, pod: Pod) -> bool:
        # A Job that was deleted may have had the same name.
        return pod.owner == self._uid

    def _make_pods(self, active: set[int]) -> None:
        now = time.monotonic()
        left = [
            index
            for index in range(self._count)
            if index not in self._succeeded | self._failed | active
            and self._ready_at.get(index, 0) <= now
        ]
        room = self._job["spec"].get("parallelism", 1) - len(active)
        for index in left[: max(0, room)]:
            self._cluster.make_pod(self._name, self._job, index if self._is_indexed else None)

    def _count_end(self, pod: Pod) -> None:
        index = pod.index
        if pod.phase == "Succeeded":
            self._succeeded.add(index)
            return
        self._failed_pods += 1
        self._ready_at[index] = time.monotonic() + BACKOFF_SECONDS
        action = self._action(pod)
        if action == "Ignore":
            return
        self._failures[index] = self._failures.get(index, 0) + 1
        limit = self._job["spec"].get("backoffLimitPerIndex")
        if action == "FailIndex" or (limit is not None and self._failures[index] > limit):
            self._failed.add(index)

    def _action(self, pod: Pod) -> str:
        """The action of the first rule of the pod failure policy that matches."""
        for rule in self._job["spec"].get("podFailurePolicy", {}).get("rules", []):
            if "onExitCodes" in rule:
                codes = rule["onExitCodes"]
                is_listed = _exit_code(pod) in codes["values"]
                matches = bool(_exit_code(pod)) and is_listed == (codes["operator"] == "In")
            else:
                wanted = {(c["type"], c.get("status", "True")) for c in rule["onPodConditions"]}
                conditions = pod.body["status"]["conditions"]
                matches = any((c["type"], c["status"]) in wanted for c in conditions)
            if matches:
                return str(rule["action"])
        return "Count"

    def _over(self) -> Json | None:
        """The condition with which the Job ends; None while it goes on."""
        spec = self._job["spec"]
        if len(self._failed) > spec.get("maxFailedIndexes", self._count):
            return _condition("Failed", "MaxFailedIndexesExceeded")
        if sum(self._failures.values()) > spec.get("backoffLimit", 6):
            return _condition("Failed", "BackoffLimitExceeded")
        if len(self._succeeded | self._failed) < self._count:
            return None
        if self._failed:
            return _condition("Failed", "FailedIndexes")
        return _condition("Complete", "CompletionsReached")

    def _write_status(self, over: Json | None) -> None:
        pods = [p for p in self._cluster.ever if p.job == self._name and self._owns(p)]
        active = [pod for pod in pods if not pod.has_ended]
        status: Json = {
            "active": len(active),
            "ready": sum(pod.phase == "Running" for pod in active),
            "succeeded": len(self._succeeded),
            "failed": self._failed_pods,
        }
        if self._is_indexed:
            status["completedIndexes"] = _ranges(self._succeeded)
        if "backoffLimitPerIndex" in self._job["spec"]:
            status["failedIndexes"] = _ranges(self._failed)
        if self._job["spec"].get("suspend"):
            status["conditions"] = [_condition("Suspended", "JobSuspended")]
        if over:
            status["conditions"] = [over]
        # As in the API, a number that is 0 is not sent.
        self._job["status"] = {name: value for name, value in status.items() if value != 0}


def _condition(kind: str, reason: str) -> Json:
    return {"type": kind, "status": "True", "reason": reason}


def _conditions(status: Json) -> list[Json]:
    return list(status.get("conditions", []))


def _exit_code(pod: Pod) -> int:
    for status in pod.body["status"].get("containerStatuses", []):
        if ended := status["state"].get("terminated"):
            return int(ended["exitCode"])
    return 0


def _ranges(indexes: set[int]) -> str:
    """Numbers as Kubernetes writes them: `0,2-4`."""
    parts: list[list[int]] = []
    for index in sorted(indexes):
        if parts and parts[-1][1] == index - 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
