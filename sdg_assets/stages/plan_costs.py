"""What a plan will cost in money, once it is known which model plays each role."""

from __future__ import annotations

from collections.abc import Mapping

from sdg_assets.records import Role
from sdg_assets.settings import Settings
from sdg_assets.stages.cost import Cost
from sdg_assets.stages.plan import SubtaskPlan
from sdg_assets.teacher import identity_of, is_played
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of


def models_of(settings: Settings) -> dict[Role, str]:
    """Role → the model that plays it. A server is only asked if no card names its model.

    Raises:
        SdgError: Unknown teacher, or its server is not reached.
    """
    models = {}
    for role in Role:
        if is_played(settings, role):
            spec = TeacherSpec.of(settings, role)
            card = backend_of(spec).card(spec)
            models[role] = card.model if card else identity_of(settings, role).stamp.model
    return models


def expected_costs(
    plan: SubtaskPlan, models: Mapping[Role, str], tokens_per_second: float
) -> list[Cost]:
    """What the plan will cost, by role.

    Args:
        plan: The plan.
        models: From `models_of`.
        tokens_per_second: Output tokens per second of one GPU.
    """
    return [
        Cost(
            role,
            models[role],
            load.requests,
            load.prompt_tokens,
            load.output_tokens,
            gpu_seconds=load.output_tokens / tokens_per_second,
        )
        for role, load in plan.roles.items()
    ]
