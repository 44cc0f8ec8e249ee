"""How big the pod of a stage is: from the cards of the teachers that it loads."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from sdg_assets.cluster.settings import PodOverride
from sdg_assets.records import Role, Stage
from sdg_assets.settings import Settings
from sdg_assets.stages.stage import STAGES, PodNeeds
from sdg_assets.teacher import has_judge
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of
from sdg_assets.teacher.models import TeacherCard

UNKNOWN_TEACHER_GIB = 80.0
"""Weights and KV cache of a teacher that says nothing: what the common big GPU holds."""
GPU_MEMORY_GIB, GPU_MEMORY_OF_WEIGHTS = 12.0, 0.25
"""Host memory beside a GPU engine: the process with its CUDA context, and pages of weights under
way to the GPU; page cache is given back when it is short."""
CPU_ENGINE_GIB = 1.0
"""Of a CPU engine beyond weights, KV cache and what any step has: 2.2 GB measured in all."""


@dataclass(frozen=True)
class PodSize:
    """What a step's pod asks for; GPUs whole, memory and disk in GiB."""

    gpus: int = 0
    cpus: float = PodNeeds.cpus
    memory_gib: float = PodNeeds.memory_gib
    disk_gib: float = PodNeeds.disk_gib
    shm_gib: float = 0.0

    def overridden(self, by: PodOverride | None) -> PodSize:
        """With the parts that a person set."""
        return replace(self, **by.model_dump(exclude_none=True)) if by else self


def stage_size(
    stage: Stage, settings: Settings, *, cached: bool, until_accepted: bool = False
) -> PodSize:
    """The pod of a stage.

    Args:
        stage: The stage.
        settings: Who plays which role.
        cached: Whether models lie on a volume; otherwise the pod's own disk holds them.
        until_accepted: Whether the run writes until enough rows pass: `generated` then solves and
            judges as well.

    Raises:
        PermanentError: A teacher is unknown; names those that are known.
    """
    size = PodSize(**asdict(STAGES[stage].pod))
    for card in engines_of(stage, settings, until_accepted=until_accepted):
        own = engine_size(card, cached=cached)
        # Engines of one process share its GPUs: vLLM gives each the first ones.
        size = PodSize(
            gpus=max(size.gpus, own.gpus),
            cpus=max(size.cpus, own.cpus),
            memory_gib=size.memory_gib + own.memory_gib,
            disk_gib=size.disk_gib + own.disk_gib,
            shm_gib=max(size.shm_gib, own.shm_gib),
        )
    return size


def engine_size(card: TeacherCard, *, cached: bool) -> PodSize:
    """What loading a teacher adds to a pod; a packaged one runs on the CPU."""
    gib = card.memory_gib or UNKNOWN_TEACHER_GIB
    disk = 0.0 if cached else math.ceil(gib)
    if card.packaged:
        return PodSize(cpus=2, memory_gib=math.ceil(gib + CPU_ENGINE_GIB), disk_gib=disk)
    parallel, replicas = card.gpus.tensor_parallel, card.gpus.data_parallel
    gpus, shm = parallel * replicas, 2.0 * parallel * replicas  # NCCL, 2 GiB a rank
    weights = gib * replicas * GPU_MEMORY_OF_WEIGHTS
    return PodSize(
        gpus=gpus,
        cpus=2.0 + 2.0 * gpus,
        memory_gib=math.ceil(GPU_MEMORY_GIB * replicas + weights + shm),
        disk_gib=disk + 8.0,  # compiled kernels
        shm_gib=shm,
    )


def teachers_of(
    stage: Stage, settings: Settings, *, until_accepted: bool = False
) -> list[TeacherSpec]:
    """The different teachers that a stage asks; see `stage_size`.

    Raises:
        TeacherError: The judge is unknown.
    """
    roles = STAGES[stage].roles
    if until_accepted:
        roles = STAGES[stage].roles_until_accepted or roles
    played = [role for role in roles if role is not Role.JUDGE or has_judge(settings)]
    return list(dict.fromkeys(TeacherSpec.of(settings, role) for role in played))


def needs_internet(
    stage: Stage, settings: Settings, *, cached: bool, until_accepted: bool = False
) -> bool:
    """Whether a teacher that the stage asks is beyond the cluster, or its weights are.

    Args:
        stage: See `stage_size`, as for the others.
        settings: Who plays which role.
        cached: Whether models lie on a volume.
        until_accepted: Whether `generated` solves and judges as well.

    Raises:
        PermanentError: A teacher is unknown.
    """
    specs = teachers_of(stage, settings, until_accepted=until_accepted)
    return any(backend_of(spec).needs_internet(spec, cached=cached) for spec in specs)


def engines_of(
    stage: Stage, settings: Settings, *, until_accepted: bool = False
) -> Iterable[TeacherCard]:
    """The different teachers that a stage loads in its own process; see `stage_size`.

    Raises:
        PermanentError: A teacher is unknown.
    """
    for spec in teachers_of(stage, settings, until_accepted=until_accepted):
        if card := backend_of(spec).loaded(spec):
            yield card
