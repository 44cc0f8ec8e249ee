"""The teacher: requests in, completions out, nothing lost in between.

`backends/` run teachers, `prompts/` say what they are asked, `conversation.py` asks, and `log/`
keeps the answers. `server/` is what backends know of vLLM's servers, `models.py` and `weights/` how
a name becomes a model on disk.
"""

from __future__ import annotations

from collections.abc import Iterable

from sdg_assets.records import Role
from sdg_assets.settings import Settings
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of, backends
from sdg_assets.teacher.requests import Teacher, TeacherIdentity


def open_teacher(settings: Settings, role: Role) -> Teacher:
    """The teacher that plays a role, opened by the backend that serves it.

    Raises:
        TeacherError: Unknown teacher, or settings that cannot work.
        TransientError: Download, memory or connection failed; a rerun may succeed.
    """
    spec = TeacherSpec.of(settings, role)
    return backend_of(spec).open(spec)


def open_teachers(settings: Settings, roles: Iterable[Role]) -> dict[Role, Teacher]:
    """The teachers that a stage needs together; what other teachers hold is given back first.

    Args:
        settings: Who plays which role.
        roles: Those of the stage.

    Returns:
        Role → teacher. Without the judge, where opening it tells that it cannot judge.

    Raises:
        TeacherError: As for `open_teacher`.
        TransientError: As for `open_teacher`.
    """
    wanted = {role: TeacherSpec.of(settings, role) for role in roles}
    for backend in backends():
        backend.stop_unused(wanted.values())
    opened = {role: open_teacher(settings, role) for role in wanted}
    judge = opened.get(Role.JUDGE)
    if judge and not has_judge(settings, judge.identity):
        del opened[Role.JUDGE]
    return opened


def identity_of(settings: Settings, role: Role) -> TeacherIdentity:
    """Who plays a role now, found out without loading a model.

    Raises:
        PermanentError: There is no such teacher.
        TransientError: The Hub or the server is not reached.
    """
    spec = TeacherSpec.of(settings, role)
    return backend_of(spec).identity(spec)


def has_judge(settings: Settings, judge: TeacherIdentity | None = None) -> bool:
    """Whether rows are judged: as the setting says, else if the judge is known to be able to.

    A weak judge is worse than none. Qwen2.5-Coder-1.5B gave sound and damaged items the same
    scores, so its gate would refuse rows by chance (`benchmarks/judge_report.py`).

    Args:
        settings: Who plays which role.
        judge: Who the judge is, where that is known. Without it only the configured name counts,
            and behind an address may be any model.

    Raises:
        TeacherError: Unknown teacher.
    """
    if settings.with_judge is not None:
        return settings.with_judge
    if judge is not None:
        return judge.can_judge
    spec = TeacherSpec.of(settings, Role.JUDGE)
    card = backend_of(spec).card(spec)
    return card is None or card.judges
