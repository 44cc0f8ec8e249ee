"""The teacher: requests in, completions out, nothing lost in between.

`backends/` run teachers, `prompts/` holds the prompts. `stream.py` asks for completions, `log/`
keeps them, `replay.py` reads them back. `server/` is the client of servers. `models.py` and
`weights/` turn a name into a model on disk.
"""

from __future__ import annotations

from collections.abc import Iterable

from sdg_assets.errors import TeacherError
from sdg_assets.records import Role
from sdg_assets.settings import Settings
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of, backends
from sdg_assets.teacher.requests import Teacher, TeacherIdentity
from sdg_assets.teacher.thinking import Thinking, mode_fault


def open_teacher(settings: Settings, role: Role) -> Teacher:
    """Opens the teacher that plays a role, with the backend that serves it.

    Raises:
        TeacherError: Unknown teacher, or settings that cannot work.
        TransientError: Download, memory or connection failed; a rerun may succeed.
    """
    spec = TeacherSpec.of(settings, role)
    return backend_of(spec).open(spec)


def token_counter(settings: Settings, role: Role) -> Teacher:
    """Opens the teacher of a role only to count tokens: no weights are downloaded.

    Raises:
        TeacherError: As for `open_teacher`.
        TransientError: As for `open_teacher`.
    """
    spec = TeacherSpec.of(settings, role)
    return backend_of(spec).counter(spec)


def open_teachers(settings: Settings, roles: Iterable[Role]) -> dict[Role, Teacher]:
    """Opens the teachers that a stage needs, after freeing the memory of all others.

    Args:
        settings: The settings that name each role's teacher.
        roles: The roles that the stage uses.

    Returns:
        Role → teacher. The judge is left out if its identity shows that it cannot judge.

    Raises:
        TeacherError: As for `open_teacher`.
        TransientError: As for `open_teacher`.
    """
    specs = {role: TeacherSpec.of(settings, role) for role in roles}
    for backend in backends():
        backend.stop_unused(specs.values())
    for role in specs:
        check_thinking(settings, role)
    teachers = {role: open_teacher(settings, role) for role in specs}
    for role, teacher in teachers.items():
        check_thinking(settings, role, teacher.identity)
    judge = teachers.get(Role.JUDGE)
    if judge and not has_judge(settings, judge.identity):
        del teachers[Role.JUDGE]
    return teachers


def identity_of(settings: Settings, role: Role) -> TeacherIdentity:
    """The identity of a role's teacher, without loading a model.

    Raises:
        PermanentError: There is no such teacher.
        TransientError: The Hub or the server is not reached.
    """
    spec = TeacherSpec.of(settings, role)
    identity = backend_of(spec).identity(spec)
    check_thinking(settings, role, identity)
    return identity


def thinking_of(settings: Settings, role: Role) -> Thinking | None:
    """How a role's model thinks; None: it does not. A server is only asked if no card names it.

    Raises:
        PermanentError: There is no such teacher.
        TransientError: The server is not reached.
    """
    spec = TeacherSpec.of(settings, role)
    card = backend_of(spec).card(spec)
    return card.thinking if card else identity_of(settings, role).thinking


def check_thinking(settings: Settings, role: Role, identity: TeacherIdentity | None = None) -> None:
    """Checks that a role's model can think as `SDG_THINKING` asks.

    Args:
        settings: The settings that name each role's teacher and thinking mode.
        role: The role.
        identity: The teacher's identity, if known. Without it the card of a configured model is
            checked, while an address can stand for any model.

    Raises:
        TeacherError: The model has no such mode, or there is no such teacher.
    """
    mode = settings.thinking.get(role, "")
    if not mode:
        return
    spec = TeacherSpec.of(settings, role)
    thinking: Thinking | None
    if identity:
        thinking = identity.thinking
    elif card := backend_of(spec).card(spec):
        thinking = card.thinking
    else:
        return
    if fault := mode_fault(thinking, mode):
        raise TeacherError(
            f"SDG_THINKING={role}:{mode}: teacher {spec.name} cannot do that: {fault}"
        )


def is_played(settings: Settings, role: Role, identity: TeacherIdentity | None = None) -> bool:
    """Whether a teacher plays a role. The judge and the probe may be missing.

    Args:
        settings: The settings that name each role's teacher.
        role: The role.
        identity: The teacher that would play it, if known.

    Raises:
        TeacherError: Unknown teacher.
    """
    if role is Role.PROBE:
        return bool(settings.probe)
    return role is not Role.JUDGE or has_judge(settings, identity)


def has_judge(settings: Settings, judge: TeacherIdentity | None = None) -> bool:
    """Whether rows are judged: the setting decides; if unset, the judge's card.

    A model does not judge its own rows: where `SDG_JUDGE` names no other model than the writer,
    there is a judge only if `SDG_JUDGE_MAY_BE_WRITER` allows it.

    A weak judge is worse than none. Qwen2.5-Coder-1.5B gave sound and damaged items the same
    scores, so its gate would refuse rows by chance (`benchmarks/judge_report.py`).

    Args:
        settings: The settings that name each role's teacher.
        judge: The judge's identity, if known. Without it only the configured name counts, and an
            address can stand for any model.

    Raises:
        TeacherError: Unknown teacher.
    """
    if settings.with_judge is not None:
        return settings.with_judge
    if settings.judge_api == "verifier":
        return True
    if settings.judge_is_writer and not settings.judge_may_be_writer:
        return False
    if judge is not None:
        return judge.can_judge
    spec = TeacherSpec.of(settings, Role.JUDGE)
    card = backend_of(spec).card(spec)
    return card is None or card.judges
