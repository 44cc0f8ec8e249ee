"""What a cluster is told about its pods, from the environment (`SDG_K8S_*`)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from sdg_assets.environment import EnvironmentSettings, Json, from_environment
from sdg_assets.records import Stage

GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


class PodOverride(BaseModel):
    """Parts of a pod's size that a person knows better than `teachers.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gpus: int | None = Field(default=None, ge=0)
    cpus: float | None = Field(default=None, gt=0)
    memory_gib: float | None = Field(default=None, gt=0)
    disk_gib: float | None = Field(default=None, gt=0)
    shm_gib: float | None = Field(default=None, ge=0)


class ClusterSettings(EnvironmentSettings):
    """Each field is `SDG_K8S_<FIELD>`; what is a mapping or a list is JSON."""

    model_config = SettingsConfigDict(env_prefix="SDG_K8S_", frozen=True)

    gpu_image: str | None = Field(
        default=None, description="image of pods with GPUs; unset: the code location's own"
    )
    gpu_resource: str = Field(default="nvidia.com/gpu", description="what a GPU is requested as")
    gpu_node_selector: Json[dict[str, str]] = Field(default_factory=dict)
    gpu_tolerations: Json[list[dict[str, Any]]] = Field(default_factory=lambda: [GPU_TAINT])
    gpu_runtime_class: str | None = Field(default=None, description="where `nvidia` is no default")
    gpu_priority_class: str | None = None
    priority_class: str | None = Field(default=None, description="of steps without GPUs")
    service_account: str = Field(default="sdg-step", description="of step pods; may do nothing")
    no_token: str | None = Field(
        default=None,
        description="ConfigMap mounted where a service account's token would be; unset: the token",
    )
    store_claim: str | None = Field(
        default=None, description="volume claim mounted at SDG_STORE; unset: an object store"
    )
    cache_claim: str | None = Field(
        default=None, description="volume claim with models, mounted at /cache"
    )
    pods: Json[dict[Stage, PodOverride]] = Field(
        default_factory=dict, description='stage → sizes, e.g. {"generated": {"memory_gib": 200}}'
    )
    sandbox_seccomp: str | None = Field(
        default=None,
        description="seccomp profile on the nodes that lets code tasks' pods make namespaces",
    )
    health_seconds: int = Field(default=20, ge=1, description="between two looks at a step's pod")
    start_seconds: float = Field(
        default=300, gt=0, description="until a pod that cannot pull or be configured is given up"
    )
    schedule_seconds: float = Field(
        default=1800,
        gt=0,
        description="until a pod that fits on no node, or is refused, is given up",
    )
    unschedulable_seconds: float = Field(
        default=30,
        ge=0,
        description="that a pod fits on no node before it is told: nodes are added, and pods on "
        "their way out make room",
    )


@lru_cache(maxsize=1)
def cluster_settings() -> ClusterSettings:
    """The validated environment.

    Raises:
        PermanentError: A variable has a value it must not have; names each of them.
    """
    return from_environment(ClusterSettings)
