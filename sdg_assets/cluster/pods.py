"""The pods of steps, as `dagster-k8s/config` has them.

What all pods of the project share – user, read-only root, scratch directory – stands in the run
launcher's `run_k8s_config` (`k8s/base/dagster.yaml`). Here stands what differs between steps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sdg_assets.cluster.settings import ClusterSettings, PodOverride, cluster_settings
from sdg_assets.cluster.sizing import PodSize, needs_internet, stage_size
from sdg_assets.errors import PermanentError
from sdg_assets.records import AnswerKind, Stage
from sdg_assets.settings import Settings, settings
from sdg_assets.stages.stage import STAGES, Reach

CONFIG_TAG = "dagster-k8s/config"
POD_TAG = "sdg/pod"
"""Run tag: sizes of this run's teacher pods as JSON, e.g. `{"memory_gib": 200}`."""
CACHE = "/cache"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 – its place
REACH_LABEL = "sdg/reach"
"""A `Reach`. See the network policies."""
ANSWERS_LABEL = "sdg/answers"
"""The task's answer kind."""
GRACE_SECONDS = 8
"""From SIGTERM to SIGKILL. What a teacher answered is in the log already: nothing is left to save,
and a run that is ended shall free its log and its GPUs within 10 s."""
Config = dict[str, Any]


def stage_of_step(step_key: str) -> Stage | None:
    """The stage that a step makes, whose key is `<seed task>__<stage>`; None for other steps."""
    name = step_key.rpartition("__")[2]
    return next((stage for stage in Stage if stage.value == name), None)


def pod_tags(stage: Stage, kind: AnswerKind | None = None) -> Mapping[str, Any]:
    """The op tags of a stage, from the environment; none where steps are no pods.

    Args:
        stage: The pipeline's stage.
        kind: The task's answer kind, if it is a stage of one: see `stage_pod`.

    Raises:
        PermanentError: A teacher is unknown, or a variable is wrong.
    """
    chosen = settings()
    if chosen.executor != "k8s":
        return {}
    return {CONFIG_TAG: stage_pod(stage, chosen, cluster_settings(), kind)}


def stage_pod(
    stage: Stage, chosen: Settings, cluster: ClusterSettings, kind: AnswerKind | None = None
) -> Config:
    """The pod of a stage: its size, where it may run, and what it may reach.

    Args:
        stage: The pipeline's stage.
        chosen: Who plays which role.
        cluster: What the cluster is told.
        kind: The task's answer kind. Votes on programs run them: in `enriched`, and in `generated`
            where it writes until enough are accepted.
    """
    size = _size(stage, chosen, cluster)
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
        _without_hub(pod, stage, chosen, cluster)
    return pod


def any_step(chosen: Settings, cluster: ClusterSettings) -> Config:
    """What every step's pod has, those of unknown assets included."""
    container: Config = {"resources": resources(PodSize(), cluster), "volume_mounts": []}
    spec: Config = {
        "service_account_name": cluster.service_account,
        "automount_service_account_token": cluster.no_token is None,
        "termination_grace_period_seconds": GRACE_SECONDS,
        "volumes": [],
    }
    if cluster.no_token:
        # A step never calls Kubernetes, but Dagster's instance loads its run launcher, and that
        # reads a token, wherever runs may be resumed.
        mount = {"name": "no-token", "mount_path": TOKEN, "read_only": True}
        container["volume_mounts"].append(mount)
        spec["volumes"].append({"name": "no-token", "config_map": {"name": cluster.no_token}})
    if cluster.priority_class:
        spec["priority_class_name"] = cluster.priority_class
    for name, claim, path in (
        ("store", cluster.store_claim, str(chosen.store)),
        ("cache", cluster.cache_claim, CACHE),
    ):
        if claim:
            container["volume_mounts"].append({"name": name, "mount_path": path})
            spec["volumes"].append({"name": name, "persistent_volume_claim": {"claim_name": claim}})
    return {
        "container_config": container,
        "pod_spec_config": spec,
        "pod_template_spec_metadata": {"labels": {REACH_LABEL: Reach.HUB.value}},
        # A retry is Dagster's: with a pod failure policy of its own the Job would start a second
        # pod, which finds the step begun, says so and ends well, and the run waits for ever.
        "job_spec_config": {"backoff_limit": 0},
    }


def this_run(
    stage: Stage | None,
    run_tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    chosen: Settings,
    cluster: ClusterSettings,
    kind: str | None = None,
) -> Config:
    """What a run changes in a teacher stage's pod; nothing in those of other steps.

    Args:
        stage: The pipeline's stage; None for a step that makes none.
        run_tags: `sdg/pod` sizes it; `sdg/target_accepted` makes it solve and judge too.
        run_config: The config of the stage's op, for `target_accepted`.
        chosen: Who plays which role.
        cluster: What the cluster is told.
        kind: The task's answer kind.

    Raises:
        PermanentError: The tag is not what it must be; says how.
    """
    if stage is None or not STAGES[stage].has_fill:
        return {}
    is_wider = bool(STAGES[stage].roles_until_accepted) and _until_accepted(run_tags, run_config)
    if not is_wider and POD_TAG not in run_tags:
        return {}
    tagged = _size(stage, chosen, cluster)
    size = _run_size(stage, run_tags, run_config, chosen, cluster)
    asked = resources(size, cluster)
    pod: Config = {"container_config": {"resources": asked}}
    if size.gpus and not tagged.gpus:
        pod |= {"pod_spec_config": {}, "pod_template_spec_metadata": {}}
        _onto_gpus(pod, size, cluster)
    elif tagged.gpus and not size.gpus:  # it is merged into the tags, which ask for some
        for which in asked.values():
            which[cluster.gpu_resource] = "0"
    if is_wider and kind in AnswerKind.where(lambda policy: policy.runs_programs):
        pod.setdefault("pod_template_spec_metadata", {})
        _without_hub(pod, stage, chosen, cluster)
    return pod


def gpus_of_run(
    step_key: str,
    run_tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    chosen: Settings,
    cluster: ClusterSettings,
) -> int:
    """How many GPUs a step of a run uses: those that its pod asks for, wherever it runs.

    Args:
        step_key: `<seed task>__<stage>`.
        run_tags: See `this_run`.
        run_config: The run's whole config: `per_step_k8s_config` has the last word on pods.
        chosen: Who plays which role.
        cluster: What the cluster is told.

    Raises:
        PermanentError: A teacher is unknown, or a tag is wrong.
    """
    stage, gpus = stage_of_step(step_key), 0
    if stage is not None:
        configured = run_config.get("ops", {}).get(step_key, {}).get("config", {})
        gpus = _run_size(stage, run_tags, configured, chosen, cluster).gpus
    last: Any = run_config.get("execution", {}).get("config", {})
    for name in ("per_step_k8s_config", step_key, "container_config", "resources", "limits"):
        last = last.get(name, {})
    return int(last.get(cluster.gpu_resource, gpus))


def resources(size: PodSize, cluster: ClusterSettings) -> Config:
    """Requests and limits of a container.

    A GPU pod is limited to what it requests, which makes it the last to be evicted.
    """
    wanted = {
        "cpu": f"{round(size.cpus * 1000)}m",
        "memory": f"{round(size.memory_gib * 1024)}Mi",
        "ephemeral-storage": f"{round(size.disk_gib * 1024)}Mi",
    }
    if size.gpus:
        wanted[cluster.gpu_resource] = str(size.gpus)
        return {"requests": wanted, "limits": dict(wanted)}
    # Short of processor time a step is slow; short of memory it is dead.
    limit_cpu = f"{round(max(2.0, size.cpus * 2) * 1000)}m"
    return {"requests": wanted, "limits": {**wanted, "cpu": limit_cpu}}


def _size(
    stage: Stage, chosen: Settings, cluster: ClusterSettings, *, until_accepted: bool = False
) -> PodSize:
    cached = cluster.cache_claim is not None
    size = stage_size(stage, chosen, cached=cached, until_accepted=until_accepted)
    return size.overridden(cluster.pods.get(stage))


def _run_size(
    stage: Stage,
    run_tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    chosen: Settings,
    cluster: ClusterSettings,
) -> PodSize:
    until_accepted = _until_accepted(run_tags, run_config)
    size = _size(stage, chosen, cluster, until_accepted=until_accepted)
    if not STAGES[stage].has_fill:
        return size
    return size.overridden(_override(run_tags.get(POD_TAG, "{}")))


def _until_accepted(run_tags: Mapping[str, str], run_config: Mapping[str, Any]) -> bool:
    return bool(run_config.get("target_accepted") or run_tags.get("sdg/target_accepted"))


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
    pod["pod_template_spec_metadata"]["annotations"] = {
        # An engine takes minutes to start: nodes are not emptied under it to save one.
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }


def _without_hub(pod: Config, stage: Stage, chosen: Settings, cluster: ClusterSettings) -> None:
    """Takes the way out from a pod in which programs run that a model wrote.

    The sandbox has no network of its own; this is the wall behind it. A pod keeps the way only for
    a teacher that its backend cannot reach without: one whose weights must be fetched, say.
    """
    cached = cluster.cache_claim is not None
    if needs_internet(stage, chosen, cached=cached, until_accepted=True):
        return
    labels = pod["pod_template_spec_metadata"].setdefault("labels", {})
    labels[REACH_LABEL] = Reach.STORE.value
    # Or the Hub's client asks for a newer version and waits for each question to time out.
    pod["container_config"]["env"] = [{"name": "HF_HUB_OFFLINE", "value": "1"}]


def _with_sandbox(pod: Config, profile: str) -> Config:
    """A pod in which a process without rights may make namespaces of its own."""
    container = {
        **pod["container_config"],
        "security_context": {
            "seccomp_profile": {"type": "Localhost", "localhost_profile": profile},
            "proc_mount": "Unmasked",  # or the kernel refuses a /proc of the sandbox's own
            **CONFINED,
        },
    }
    # Kubernetes allows an unmasked /proc only to pods that are nobody on their node.
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
