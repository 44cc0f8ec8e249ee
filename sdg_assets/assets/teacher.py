"""The teachers as Dagster sees them: observed assets, one a role, versioned by what they are.

A version is model, revision, the settings that change numbers, and the role's prompts. Another
version of the writer makes `generated` and all below it stale, another solver or judge `enriched`.
"""

from collections.abc import Iterator
from functools import cache

import dagster as dg

from sdg_assets.assets.failures import clear_failures
from sdg_assets.records import Role, content_id
from sdg_assets.settings import settings
from sdg_assets.stages.prompt_versions import role_versions
from sdg_assets.teacher import has_judge, identity_of
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of
from sdg_assets.teacher.requests import TeacherIdentity

TEACHERS = {role: dg.AssetKey(["teacher", role.value]) for role in Role}
DESCRIPTIONS = {
    Role.WRITER: "Writes new examples. Another version makes `generated` stale.",
    Role.SOLVER: "Answers them blind and writes background. Another version makes `enriched` "
    "stale.",
    Role.JUDGE: "Scores what the votes verified. Another version makes `enriched` stale.",
}


NOBODY = "nobody"
"""The version of a role that is not played."""


def is_played(role: Role, identity: TeacherIdentity | None = None) -> bool:
    """Whether anybody plays the role: there may be no judge.

    Args:
        role: The role.
        identity: Who would play it, where that is known.
    """
    return role is not Role.JUDGE or has_judge(settings(), identity)


def version_of(role: Role, identity: TeacherIdentity) -> str:
    """The data version of a teacher in a role: model@revision, settings, prompts."""
    api = f"+{settings().judge_api}" if role is Role.JUDGE else ""
    return f"{identity.data_version}+{_prompts(role)}{api}"


@cache
def _prompts(role: Role) -> str:
    return content_id(role_versions(role))[:8]


def current_identity(role: Role) -> TeacherIdentity:
    """Who plays the role now, found out without loading a model.

    Raises:
        PermanentError: There is no such teacher.
        TransientError: The Hub or the server is not reached.
    """
    return identity_of(settings(), role)


def teacher_assets() -> dg.AssetsDefinition:
    """The observable assets `[teacher, role]`.

    Raises:
        TeacherError: No backend serves a teacher, or several do: whoever loads the code location
            learns that before any run does.
    """
    specs = {role: TeacherSpec.of(settings(), role) for role in TEACHERS}

    @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]
        name="observe_teachers",
        specs=[
            dg.AssetSpec(
                key,
                description=DESCRIPTIONS[role],
                kinds={backend_of(specs[role]).kind},
                owners=settings().owners,
                group_name="teacher",
            )
            for role, key in TEACHERS.items()
        ],
        can_subset=True,
    )
    def observe_teachers(context: dg.AssetExecutionContext) -> Iterator[dg.ObserveResult]:
        for role, key in TEACHERS.items():
            if key not in context.selected_asset_keys:
                continue
            identity = None
            if is_played(role):
                with clear_failures():
                    identity = current_identity(role)
            if identity is None or not is_played(role, identity):
                yield dg.ObserveResult(asset_key=key, data_version=dg.DataVersion(NOBODY))
                continue
            yield dg.ObserveResult(
                asset_key=key,
                data_version=dg.DataVersion(version_of(role, identity)),
                metadata={
                    "model": identity.stamp.model,
                    "revision": identity.stamp.revision,
                    "license": identity.stamp.license,
                    "settings": identity.settings,
                    "prompts": _prompts(role),
                },
            )

    assert isinstance(observe_teachers, dg.AssetsDefinition)
    return observe_teachers
