"""Settings of pods on Kubernetes, from the environment (`SDG_K8S_*`)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from sdg_assets.environment import EnvironmentSettings, Json, from_environment
from sdg_assets.records import Stage

GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


class PublisherOverride(BaseModel):
    """Parts of the size of the pod that publishes a divided step, which has no GPUs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: float | None = Field(default=None, gt=0)
    memory_gib: float | None = Field(default=None, gt=0)
    disk_gib: float | None = Field(default=None, gt=0)


class PodOverride(PublisherOverride):
    """Parts of a pod's size that a person sets instead of the size computed from `teachers.yaml`.

    GPUs and CPUs as counts, the rest in GiB.
    """

    gpus: int | None = Field(default=None, ge=0)
    shm_gib: float | None = Field(default=None, ge=0)
    publish: PublisherOverride | None = Field(
        default=None, description="for the pod that publishes a divided step"
    )


class ClusterSettings(EnvironmentSettings):
    """Each field is read from `SDG_K8S_<FIELD>`; mappings and lists are JSON."""

    model_config = SettingsConfigDict(env_prefix="SDG_K8S_", frozen=True)

    gpu_image: str | None = Field(
        default=None, description="image of pods with GPUs; unset: the code location's image"
    )
    gpu_resource: str = Field(default="nvidia.com/gpu", description="resource name of a GPU")
    gpu_node_selector: Json[dict[str, str]] = Field(default_factory=dict)
    gpu_tolerations: Json[list[dict[str, Any]]] = Field(default_factory=lambda: [GPU_TAINT])
    gpu_runtime_class: str | None = Field(
        default=None, description="runtime class of GPU pods, if `nvidia` is not the default"
    )
    gpu_priority_class: str | None = None
    priority_class: str | None = Field(
        default=None, description="priority class of steps without GPUs"
    )
    service_account: str = Field(
        default="sdg-step", description="service account of step pods; it needs no rights"
    )
    no_token: str | None = Field(
        default=None,
        description="ConfigMap mounted instead of the service account's token; unset: the token",
    )
    store_claim: str | None = Field(
        default=None, description="volume claim mounted at SDG_STORE; unset: an object store"
    )
    cache_claim: str | None = Field(
        default=None, description="volume claim with models, mounted at /cache"
    )
    pods: Json[dict[Stage, PodOverride]] = Field(
        default_factory=dict,
        description='stage → sizes, e.g. {"generated": {"memory_gib": 200}}; those of the pod that '
        'publishes a divided step: {"generated": {"publish": {"memory_gib": 8}}}',
    )
    indexes: int = Field(
        default=1,
        ge=1,
        description="pods among which the rows of a step with teachers are divided; the run tag "
        "sdg/indexes sets it for one run",
    )
    index_retries: int = Field(
        default=3,
        ge=0,
        description="how often such a pod is started again after a failure that may pass; "
        "evictions and preemptions do not count",
    )
    queue_name: str | None = Field(
        default=None,
        description="Kueue's LocalQueue in which Jobs with GPUs wait for quota; unset: no Kueue",
    )
    queue_priority: str | None = Field(
        default=None, description="Kueue's WorkloadPriorityClass of these Jobs"
    )
    sandbox_seccomp: str | None = Field(
        default=None,
        description="seccomp profile on the nodes that lets pods of code tasks create namespaces",
    )
    health_seconds: int = Field(
        default=20, ge=1, description="seconds between two checks of a step's pod"
    )
    start_seconds: float = Field(
        default=300,
        gt=0,
        description="seconds after which a pod fails that cannot pull its image or be configured",
    )
    schedule_seconds: float = Field(
        default=1800,
        gt=0,
        description="seconds after which a pod fails that fits on no node or is refused",
    )
    unschedulable_seconds: float = Field(
        default=30,
        ge=0,
        description="seconds that a pod may fit on no node before this is logged: often a node is "
        "added or another pod ends",
    )


@lru_cache(maxsize=1)
def cluster_settings() -> ClusterSettings:
    """The cluster settings, read from the environment once.

    Raises:
        PermanentError: A variable is invalid; the message names all such variables.
    """
    return from_environment(ClusterSettings)
