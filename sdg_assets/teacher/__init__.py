"""The teacher: requests in, completions out, nothing lost in between."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sdg_assets.addresses import is_url
from sdg_assets.records import Role
from sdg_assets.settings import Settings
from sdg_assets.teacher.requests import Teacher

if TYPE_CHECKING:
    from sdg_assets.teacher.endpoint import EndpointTeacher


def open_teacher(settings: Settings, role: Role) -> Teacher:
    """The teacher that plays a role: a server where the setting is a URL, else an engine here.

    Raises:
        TeacherError: Unknown teacher, or settings that cannot work.
        TransientError: Download, memory or connection failed; a rerun may succeed.
    """
    name = settings.teacher_of(role)
    if role is Role.JUDGE and settings.judge_api != "rubric":
        from sdg_assets.teacher.reward import reward_teacher

        return reward_teacher(
            name,
            settings.judge_api,
            settings.concurrency,
            settings.catalog,
            settings.credentials_of(role),
            settings.stalled_seconds,
        )
    if is_url(name):
        return served_teacher(settings, role)
    from sdg_assets.teacher.engine import engine_teacher

    overrides = json.dumps(settings.engine, sort_keys=True)
    return engine_teacher(name, settings.catalog, overrides, settings.stalled_seconds)


def served_teacher(settings: Settings, role: Role) -> EndpointTeacher:
    """The client of the server that plays a role.

    Raises:
        TeacherError: The server cannot be used.
        TransientError: It does not answer.
    """
    from sdg_assets.teacher.endpoint import endpoint_teacher

    return endpoint_teacher(
        settings.teacher_of(role),
        settings.concurrency,
        settings.catalog,
        settings.credentials_of(role),
        settings.stalled_seconds,
    )


def open_teachers(settings: Settings, roles: Iterable[Role]) -> dict[Role, Teacher]:
    """The teachers that a stage needs together; engines of others are stopped first.

    Args:
        settings: Who plays which role.
        roles: Those of the stage.

    Raises:
        TeacherError: As for `open_teacher`.
        TransientError: As for `open_teacher`.
    """
    wanted = list(roles)
    if engine := sys.modules.get("sdg_assets.teacher.engine"):
        engine.stop_engines_but({settings.teacher_of(role) for role in wanted})
    return {role: open_teacher(settings, role) for role in wanted}


def has_judge(settings: Settings) -> bool:
    """Whether rows are judged: as the setting says, else if the judge is known to be able to.

    A weak judge is worse than none. Qwen2.5-Coder-1.5B gave sound and damaged items the same
    scores, so its gate would refuse rows by chance (`benchmarks/judge_report.py`).
    """
    if settings.with_judge is not None:
        return settings.with_judge
    from sdg_assets.teacher.models import teacher_cards

    card = teacher_cards(settings.catalog).get(settings.teacher_of(Role.JUDGE))
    return card is None or card.judges
