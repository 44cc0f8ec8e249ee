"""Rules for all workloads that a schema does not check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

PINNED = re.compile(r"[\w./-]+(:(?!latest$)[\w][\w.-]*)?(@sha256:[0-9a-f]{64})?")
SECRET_NAMES = re.compile(r"PASSWORD|TOKEN|SECRET|API_KEY|ACCESS_KEY")


def broken_rules(workload: dict[str, Any]) -> list[str]:
    """The rules that a Deployment, StatefulSet or Job breaks."""
    spec = workload["spec"]["template"]["spec"]
    broken = [*_pod(spec), *(b for c in spec["containers"] for b in _container(c))]
    if workload["kind"] == "Job":
        broken += _job(workload)
    return [f"{workload['metadata']['name']}: {rule}" for rule in broken]


def _pod(spec: dict[str, Any]) -> Iterator[str]:
    security = spec.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield "may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "shares the host's namespaces"
    if any("hostPath" in volume for volume in spec.get("volumes", [])):
        yield "mounts the host's files"
    if "automountServiceAccountToken" not in spec:
        yield "does not say whether it needs a token"
    if spec.get("initContainers"):
        yield "has init containers, for which no rule is written"
    names = [volume["name"] for volume in spec.get("volumes", [])]
    mounted = {m["name"] for c in spec["containers"] for m in c.get("volumeMounts", [])}
    if len(names) != len(set(names)):
        yield f"has two volumes of one name: {names}"
    if mounted - set(names) - {"data"}:  # a StatefulSet's claim
        yield f"mounts volumes it does not have: {mounted - set(names)}"


def _container(container: dict[str, Any]) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("privileged") or security.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if not security.get("readOnlyRootFilesystem"):
        yield "writes to its root directory"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    resources = container.get("resources", {})
    for side in ("requests", "limits"):
        missing = {"cpu", "memory", "ephemeral-storage"} - resources.get(side, {}).keys()
        if missing:
            yield f"{side} nothing of {', '.join(sorted(missing))}"
    for name in {**resources.get("requests", {}), **resources.get("limits", {})}:
        if "/" in name and resources["requests"].get(name) != resources["limits"].get(name):
            yield f"{name}: request is not limit"
    match = PINNED.fullmatch(container["image"])
    if not match or not (match[1] or match[2]):
        yield f"image {container['image']} is not pinned"
    for variable in container.get("env", []):
        if SECRET_NAMES.search(variable["name"]) and "value" in variable:
            yield f"{variable['name']} stands in the manifest"
    if len({m["mountPath"] for m in container.get("volumeMounts", [])}) != len(
        container.get("volumeMounts", [])
    ):
        yield "mounts two volumes at one path"


def _job(job: dict[str, Any]) -> Iterator[str]:
    # The pods of an Indexed Job are no steps of Dagster: they may be started again.
    is_indexed = job["spec"].get("completionMode") == "Indexed"
    retries = job["spec"].get("backoffLimit") != 0 or "podFailurePolicy" in job["spec"]
    if retries and not is_indexed:
        yield "retries by itself: the replacement would find the step begun, and the run would hang"
    if job["spec"]["template"]["spec"].get("restartPolicy") != "Never":
        yield "restarts by itself"
    if not job["spec"].get("ttlSecondsAfterFinished"):
        yield "is never cleaned up"
    if len(job["metadata"]["name"]) > 63:
        yield "has too long a name"
