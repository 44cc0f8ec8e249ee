"""Pod configuration of steps, in the format of the tag `dagster-k8s/config`.

Settings that all pods share (user, read-only root, scratch directory) are in the run launcher's
`run_k8s_config` (`k8s/base/dagster.yaml`). This module has the settings that differ between steps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from sdg_assets.cluster.settings import ClusterSettings, PodOverride, cluster_settings
from sdg_assets.cluster.sizing import PodSize, needs_internet, stage_size
from sdg_assets.errors import PermanentError
from sdg_assets.records import AnswerKind, Stage
from sdg_assets.settings import Settings, settings
from sdg_assets.stages.stage import STAGES, Reach

CONFIG_TAG = "dagster-k8s/config"
TARGET_KNOBS = ("target_accepted", "cover")
"""Knobs with which `generated` also solves and judges its drafts."""
POD_TAG = "sdg/pod"
"""Run tag: sizes of this run's teacher pods as JSON, e.g. `{"memory_gib": 200}`."""
INDEXES_TAG = "sdg/indexes"
"""Run tag: number of pods among which a step with teachers divides its rows."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
QUEUE_PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
WAITS_LABEL = "sdg/waits"
"""Label of Jobs that may have no pods for long: they wait for quota, or for room for some."""
CACHE = "/cache"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 – a path
REACH_LABEL = "sdg/reach"
"""Pod label with a `Reach`, which the network policies select by."""
ANSWERS_LABEL = "sdg/answers"
"""Pod label with the task's answer kind."""
PUBLISHES_LABEL = "sdg/publishes"
"""Pod label of the pod that publishes a divided step."""
METRICS_PORT = "metrics"
"""Name of the port at which a step's pod serves its counts."""
GRACE_SECONDS = 8
"""Seconds from SIGTERM to SIGKILL. All answers are in the completion log already, so nothing is
left to save, and an ended run must release its log and its GPUs within 10 s."""
Config = dict[str, Any]


def stage_of_step(step_key: str) -> Stage | None:
    """The stage of a step with the key `<seed task>__<stage>`; None for other steps."""
    name = step_key.rpartition("__")[2]
    return next((stage for stage in Stage if stage.value == name), None)


def pod_tags(stage: Stage, kind: AnswerKind | None = None) -> Mapping[str, Any]:
    """The op tags of a stage, from the environment; empty unless the executor is `k8s`.

    Args:
        stage: The stage.
        kind: The task's answer kind; None for a stage over all tasks. See `stage_pod`.

    Raises:
        PermanentError: A teacher is unknown, or an environment variable is invalid.
    """
    pipeline = settings()
    if pipeline.executor != "k8s":
        return {}
    return {CONFIG_TAG: stage_pod(stage, pipeline, cluster_settings(), kind)}


def stage_pod(
    stage: Stage, pipeline: Settings, cluster: ClusterSettings, kind: AnswerKind | None = None
) -> Config:
    """The pod configuration of a stage: size, nodes, and network access.

    Args:
        stage: The stage.
        pipeline: The pipeline's settings, which name the teachers.
        cluster: The cluster's settings.
        kind: The task's answer kind. For programs, a vote runs the program: in `enriched`, and in
            `generated` with `target_accepted`.

    Raises:
        PermanentError: A teacher is unknown.
    """
    return _pod(stage, _size(stage, pipeline, cluster), pipeline, cluster, kind)


def publisher_pod(
    stage: Stage,
    run_tags: Mapping[str, str],
    pipeline: Settings,
    cluster: ClusterSettings,
    kind: AnswerKind | None = None,
) -> Config:
    """The configuration of the pod that publishes what other pods have filled. It has no GPUs.

    Args:
        stage: See `stage_pod`, as for `pipeline`, `cluster` and `kind`.
        run_tags: `sdg/pod` sets sizes under `publish`.
        pipeline: The pipeline's settings.
        cluster: The cluster's settings.
        kind: The task's answer kind.

    Raises:
        PermanentError: A teacher is unknown, or the tag `sdg/pod` is invalid.
    """
    size = PodSize(**asdict(STAGES[stage].pod))
    for by in (cluster.pods.get(stage), _override(run_tags.get(POD_TAG, "{}"))):
        size = size.overridden(by.publish if by else None)
    pod = _pod(stage, size, pipeline, cluster, kind)
    pod["pod_template_spec_metadata"]["labels"][PUBLISHES_LABEL] = "true"
    return pod


def step_defaults(pipeline: Settings, cluster: ClusterSettings) -> Config:
    """The pod configuration that all steps start from, also steps that make no stage."""
    container: Config = {"resources": resources(PodSize(), cluster), "volume_mounts": []}
    spec: Config = {
        "service_account_name": cluster.service_account,
        "automount_service_account_token": cluster.no_token is None,
        "termination_grace_period_seconds": GRACE_SECONDS,
        "volumes": [],
    }
    if cluster.no_token:
        # A step never calls Kubernetes. But if runs may be resumed, Dagster's instance loads its
        # run launcher in every process, and the run launcher reads a token.
        mount = {"name": "no-token", "mount_path": TOKEN, "read_only": True}
        container["volume_mounts"].append(mount)
        spec["volumes"].append({"name": "no-token", "config_map": {"name": cluster.no_token}})
    if cluster.priority_class:
        spec["priority_class_name"] = cluster.priority_class
    for name, claim, path in (
        ("store", cluster.store_claim, str(pipeline.store)),
        ("cache", cluster.cache_claim, CACHE),
    ):
        if claim:
            container["volume_mounts"].append({"name": name, "mount_path": path})
            spec["volumes"].append({"name": name, "persistent_volume_claim": {"claim_name": claim}})
    metadata: Config = {"labels": {REACH_LABEL: Reach.HUB.value}}
    if (at := pipeline.metrics_served_at) and not at.is_on_loopback:
        # The port's name is for a PodMonitor, the annotations for a Prometheus without operator.
        container["ports"] = [{"name": METRICS_PORT, "container_port": at.port}]
        metadata["annotations"] = {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(at.port),
            "prometheus.io/path": "/metrics",
        }
    return {
        "container_config": container,
        "pod_spec_config": spec,
        "pod_template_spec_metadata": metadata,
        # Only Dagster retries. If the Job itself started a second pod, that pod would find the
        # step already started and exit with success, and the run would wait for ever.
        "job_spec_config": {"backoff_limit": 0},
    }


def run_overrides(
    stage: Stage | None,
    run_tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    pipeline: Settings,
    cluster: ClusterSettings,
    kind: str | None = None,
) -> Config:
    """The changes that a run makes to a stage's pod; empty for stages without teachers.

    Args:
        stage: The stage; None for a step that makes none.
        run_tags: `sdg/pod` sets sizes; with `sdg/target_accepted` the stage also solves and
            judges.
        run_config: The config of the stage's op, for `target_accepted`.
        pipeline: The pipeline's settings, which name the teachers.
        cluster: The cluster's settings.
        kind: The task's answer kind.

    Raises:
        PermanentError: A teacher is unknown, or the tag `sdg/pod` is invalid.
    """
    if stage is None or not STAGES[stage].has_fill:
        return {}
    has_all_roles = bool(STAGES[stage].roles_until_accepted) and _until_accepted(
        run_tags, run_config
    )
    if not has_all_roles and POD_TAG not in run_tags:
        return {}
    default_size = _size(stage, pipeline, cluster)
    size = _run_size(stage, run_tags, run_config, pipeline, cluster)
    run_resources = resources(size, cluster)
    pod: Config = {"container_config": {"resources": run_resources}}
    if size.gpus and not default_size.gpus:
        pod |= {"pod_spec_config": {}, "pod_template_spec_metadata": {}}
        _onto_gpus(pod, size, cluster)
    elif default_size.gpus and not size.gpus:
        # This is merged into the op tags, which ask for GPUs: only an explicit 0 removes them.
        for quantities in run_resources.values():
            quantities[cluster.gpu_resource] = "0"
    if has_all_roles and kind in AnswerKind.where(lambda policy: policy.runs_programs):
        pod.setdefault("pod_template_spec_metadata", {})
        _without_hub(pod, stage, pipeline, cluster)
    return pod


def gpus_of_run(
    step_key: str,
    run_tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    pipeline: Settings,
    cluster: ClusterSettings,
) -> int:
    """Number of GPUs of a step: those its pods ask for, or would ask for on a laptop.

    Args:
        step_key: `<seed task>__<stage>`.
        run_tags: See `run_overrides`.
        run_config: The config of the whole run. Its `per_step_k8s_config` overrides all else.
        pipeline: The pipeline's settings, which name the teachers.
        cluster: The cluster's settings.

    Raises:
        PermanentError: A teacher is unknown, or a tag is invalid.
    """
    stage, gpus, pods = stage_of_step(step_key), 0, 1
    if stage is not None:
        configured = run_config.get("ops", {}).get(step_key, {}).get("config", {})
        gpus = _run_size(stage, run_tags, configured, pipeline, cluster).gpus
        if pipeline.executor == "k8s":
            pods = indexes_of_run(stage, run_tags, configured, cluster)
    limits: Any = run_config.get("execution", {}).get("config", {})
    for name in ("per_step_k8s_config", step_key, "container_config", "resources", "limits"):
        limits = limits.get(name, {})
    return int(limits.get(cluster.gpu_resource, gpus)) * pods


def indexes_of_run(
    stage: Stage | None,
    run_tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    cluster: ClusterSettings,
) -> int:
    """Number of pods among which a step divides its rows; 1: the step's own pod asks for all.

    A step with `target_accepted` has one: how many rows to write depends on those accepted before.

    Args:
        stage: The stage; None for a step that makes none.
        run_tags: `sdg/indexes` overrides the setting.
        run_config: The config of the stage's op, for `target_accepted`.
        cluster: The cluster's settings.

    Raises:
        PermanentError: The tag is no number of pods.
    """
    if stage is None or not STAGES[stage].has_fill or _until_accepted(run_tags, run_config):
        return 1
    text = run_tags.get(INDEXES_TAG, str(cluster.indexes))
    if not text.isdecimal() or int(text) < 1:
        raise PermanentError(f"run tag {INDEXES_TAG}={text}: must be a number of pods, 1 or more")
    return int(text)


def resources(size: PodSize, cluster: ClusterSettings) -> Config:
    """Requests and limits of a container.

    A GPU pod has equal requests and limits, so that it is evicted last.

    Args:
        size: The container's size.
        cluster: Names the GPU resource.
    """
    requests = {
        "cpu": f"{round(size.cpus * 1000)}m",
        "memory": f"{round(size.memory_gib * 1024)}Mi",
        "ephemeral-storage": f"{round(size.disk_gib * 1024)}Mi",
    }
    if size.gpus:
        requests[cluster.gpu_resource] = str(size.gpus)
        return {"requests": requests, "limits": dict(requests)}
    # A step may use more CPU than it requests: too little makes it slow, while exceeding memory
    # kills it.
    limit_cpu = f"{round(max(2.0, size.cpus * 2) * 1000)}m"
    return {"requests": requests, "limits": {**requests, "cpu": limit_cpu}}


def _size(
    stage: Stage, pipeline: Settings, cluster: ClusterSettings, *, until_accepted: bool = False
) -> PodSize:
    cached = cluster.cache_claim is not None
    size = stage_size(stage, pipeline, cached=cached, until_accepted=until_accepted)
    return size.overridden(cluster.pods.get(stage))


def _pod(
    stage: Stage,
    size: PodSize,
    pipeline: Settings,
    cluster: ClusterSettings,
    kind: AnswerKind | None,
) -> Config:
    pod: Config = {
        "container_config": {"resources": resources(size, cluster)},
        "pod_spec_config": {},
        "pod_template_spec_metadata": {
            "labels": {
                "sdg/stage": stage.value,
                REACH_LABEL: STAGES[stage].reach.value,
            }
        },
    }
    if kind:
        pod["pod_template_spec_metadata"]["labels"][ANSWERS_LABEL] = kind.value
    if size.gpus:
        _onto_gpus(pod, size, cluster)
    runs_programs = kind is not None and kind.policy.runs_programs
    if runs_programs and STAGES[stage].has_fill and cluster.sandbox_seccomp:
        pod = _with_sandbox(pod, cluster.sandbox_seccomp)
    if runs_programs and STAGES[stage].has_votes:
        _without_hub(pod, stage, pipeline, cluster)
    return pod


def _run_size(
    stage: Stage,
    run_tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    pipeline: Settings,
    cluster: ClusterSettings,
) -> PodSize:
    until_accepted = _until_accepted(run_tags, run_config)
    size = _size(stage, pipeline, cluster, until_accepted=until_accepted)
    if not STAGES[stage].has_fill:
        return size
    return size.overridden(_override(run_tags.get(POD_TAG, "{}")))


def _until_accepted(run_tags: Mapping[str, str], run_config: Mapping[str, Any]) -> bool:
    return any(run_config.get(knob) or run_tags.get(f"sdg/{knob}") for knob in TARGET_KNOBS)


def _onto_gpus(pod: Config, size: PodSize, cluster: ClusterSettings) -> None:
    container, spec = pod["container_config"], pod["pod_spec_config"]
    if cluster.gpu_image:
        container["image"] = cluster.gpu_image
    container["volume_mounts"] = [{"name": "shm", "mount_path": "/dev/shm"}]  # noqa: S108 - a pod's
    limit = f"{round(size.shm_gib * 1024)}Mi"
    spec["volumes"] = [{"name": "shm", "empty_dir": {"medium": "Memory", "size_limit": limit}}]
    spec["tolerations"] = cluster.gpu_tolerations
    if cluster.gpu_node_selector:
        spec["node_selector"] = cluster.gpu_node_selector
    if cluster.gpu_runtime_class:
        spec["runtime_class_name"] = cluster.gpu_runtime_class
    if cluster.gpu_priority_class:
        spec["priority_class_name"] = cluster.gpu_priority_class
    if cluster.queue_name:
        # Kueue starts the Job when there is quota for all its pods.
        labels = {QUEUE_LABEL: cluster.queue_name, WAITS_LABEL: "true"}
        if cluster.queue_priority:
            labels[QUEUE_PRIORITY_LABEL] = cluster.queue_priority
        pod["job_metadata"] = {"labels": labels}
        pod["job_spec_config"] = {"suspend": True}
    pod["pod_template_spec_metadata"]["annotations"] = {
        # An engine takes minutes to start, so an autoscaler must not move it to save a node.
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }


def _without_hub(pod: Config, stage: Stage, pipeline: Settings, cluster: ClusterSettings) -> None:
    """Removes internet access from a pod that runs programs written by a model.

    The sandbox has no network; this is a second barrier. A pod keeps its access only if a teacher
    needs it, for example to download weights.
    """
    cached = cluster.cache_claim is not None
    if needs_internet(stage, pipeline, cached=cached, until_accepted=True):
        return
    labels = pod["pod_template_spec_metadata"].setdefault("labels", {})
    labels[REACH_LABEL] = Reach.STORE.value
    # Otherwise the Hub client looks for newer versions and waits for each request to time out.
    pod["container_config"]["env"] = [{"name": "HF_HUB_OFFLINE", "value": "1"}]


def _with_sandbox(pod: Config, profile: str) -> Config:
    """The pod, in which an unprivileged process may create namespaces."""
    container = {
        **pod["container_config"],
        "security_context": {
            "seccomp_profile": {"type": "Localhost", "localhost_profile": profile},
            "proc_mount": "Unmasked",  # else the kernel refuses to mount the sandbox's /proc
            **CONFINED,
        },
    }
    # Kubernetes allows an unmasked /proc only in pods with their own user namespace.
    spec = {**pod["pod_spec_config"], "host_users": False}
    return {**pod, "container_config": container, "pod_spec_config": spec}


def _override(text: str) -> PodOverride:
    try:
        return PodOverride.model_validate(json.loads(text))
    except (ValueError, ValidationError) as error:
        fields = ", ".join(PodOverride.model_fields)
        raise PermanentError(
            f'run tag {POD_TAG}: {text!r} is not JSON like {{"memory_gib": 200}} with some of '
            f"{fields}: {error}"
        ) from error


CONFINED: Config = {
    "allow_privilege_escalation": False,
    "read_only_root_filesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
