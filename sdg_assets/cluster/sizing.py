"""Computes the size of a stage's pod from the cards of the teachers that it loads."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from sdg_assets.cluster.settings import PublisherOverride
from sdg_assets.records import Stage
from sdg_assets.settings import Settings
from sdg_assets.stages.stage import STAGES, PodNeeds
from sdg_assets.teacher import is_played
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of
from sdg_assets.teacher.models import TeacherCard

UNKNOWN_TEACHER_GIB = 80.0
"""Assumed weights and KV cache of a teacher whose card gives no size: the memory of one common
big GPU."""
GPU_MEMORY_GIB, GPU_MEMORY_OF_WEIGHTS = 12.0, 0.25
"""Host memory of a GPU engine: GiB for the process with its CUDA context, and the share of the
weights whose pages are on their way to the GPU. Page cache is not counted: the kernel frees it."""
CPU_ENGINE_GIB = 1.0
"""Memory of a CPU engine besides weights, KV cache and the memory of any step. Measured: 2.2 GB in
all."""


@dataclass(frozen=True)
class PodSize:
    """The resources that a step's pod requests: whole GPUs; memory, disk and shm in GiB."""

    gpus: int = 0
    cpus: float = PodNeeds.cpus
    memory_gib: float = PodNeeds.memory_gib
    disk_gib: float = PodNeeds.disk_gib
    shm_gib: float = 0.0

    def overridden(self, by: PublisherOverride | None) -> PodSize:
        """The size with the parts that a person set replaced."""
        return (
            replace(self, **by.model_dump(exclude_none=True, exclude={"publish"})) if by else self
        )


def stage_size(
    stage: Stage, settings: Settings, *, cached: bool, until_accepted: bool = False
) -> PodSize:
    """The size of a stage's pod.

    Args:
        stage: The stage.
        settings: The pipeline's settings, which name the teachers.
        cached: Whether a volume holds the models. Otherwise the pod's own disk must hold them.
        until_accepted: Whether the run has `target_accepted`: `generated` then also solves and
            judges.

    Raises:
        PermanentError: A teacher is unknown; the message lists the known ones.
    """
    size = PodSize(**asdict(STAGES[stage].pod))
    for card in engines_of(stage, settings, until_accepted=until_accepted):
        own = engine_size(card, cached=cached)
        # The engines of one process share its GPUs: vLLM starts each on the first GPUs.
        size = PodSize(
            gpus=max(size.gpus, own.gpus),
            cpus=max(size.cpus, own.cpus),
            memory_gib=size.memory_gib + own.memory_gib,
            disk_gib=size.disk_gib + own.disk_gib,
            shm_gib=max(size.shm_gib, own.shm_gib),
        )
    return size


def engine_size(card: TeacherCard, *, cached: bool) -> PodSize:
    """What a loaded teacher adds to a pod. Packaged teachers run on the CPU.

    Args:
        card: The teacher's card.
        cached: See `stage_size`.
    """
    gib = card.memory_gib or UNKNOWN_TEACHER_GIB
    disk = 0.0 if cached else math.ceil(gib)
    if card.packaged:
        return PodSize(cpus=2, memory_gib=math.ceil(gib + CPU_ENGINE_GIB), disk_gib=disk)
    gpus, replicas = card.gpus.number, card.gpus.data_parallel
    shm = 2.0 * gpus  # NCCL needs 2 GiB per rank
    weights = gib * replicas * GPU_MEMORY_OF_WEIGHTS
    return PodSize(
        gpus=gpus,
        cpus=2.0 + 2.0 * gpus,
        memory_gib=math.ceil(GPU_MEMORY_GIB * replicas + weights + shm),
        disk_gib=disk + 8.0,  # 8 GiB for compiled kernels
        shm_gib=shm,
    )


def teachers_of(
    stage: Stage, settings: Settings, *, until_accepted: bool = False
) -> list[TeacherSpec]:
    """The distinct teachers of a stage. For the arguments see `stage_size`.

    Raises:
        TeacherError: The judge is unknown.
    """
    roles = STAGES[stage].roles
    if until_accepted:
        roles = STAGES[stage].roles_until_accepted or roles
    played = [role for role in roles if is_played(settings, role)]
    return list(dict.fromkeys(TeacherSpec.of(settings, role) for role in played))


def needs_internet(
    stage: Stage, settings: Settings, *, cached: bool, until_accepted: bool = False
) -> bool:
    """Whether a teacher of the stage, or its weights, must be reached over the internet.

    For the arguments see `stage_size`.

    Raises:
        PermanentError: A teacher is unknown.
    """
    specs = teachers_of(stage, settings, until_accepted=until_accepted)
    return any(backend_of(spec).needs_internet(spec, cached=cached) for spec in specs)


def engines_of(
    stage: Stage, settings: Settings, *, until_accepted: bool = False
) -> Iterable[TeacherCard]:
    """The distinct teachers that a stage loads in its own process.

    For the arguments see `stage_size`.

    Raises:
        PermanentError: A teacher is unknown.
    """
    for spec in teachers_of(stage, settings, until_accepted=until_accepted):
        if card := backend_of(spec).loaded(spec):
            yield card
