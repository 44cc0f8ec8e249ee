"""The teachers as Dagster sees them: observed assets, one a role, versioned by what they are.

A version is model, revision, the settings that change numbers, and the role's prompts. Another
version of the writer makes `generated` and all below it stale, another solver or judge `enriched`.
"""

from collections.abc import Iterator
from functools import cache

import dagster as dg

from sdg_assets.addresses import is_url
from sdg_assets.assets.failures import clear_failures
from sdg_assets.records import Role, content_id
from sdg_assets.settings import settings
from sdg_assets.stages.prompt_versions import role_versions
from sdg_assets.teacher import has_judge, served_teacher
from sdg_assets.teacher.engine import identity_of
from sdg_assets.teacher.models import resolve
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


def is_played(role: Role) -> bool:
    """Whether anybody plays the role: there may be no judge."""
    return role is not Role.JUDGE or has_judge(settings())


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
    chosen = settings()
    name = chosen.teacher_of(role)
    if is_url(name):
        return served_teacher(chosen, role).identity
    found = resolve(name, fetch=False, catalog=chosen.catalog)
    return identity_of(found, {**found.card.engine, **chosen.engine})


def teacher_assets() -> dg.AssetsDefinition:
    """The observable assets `[teacher, role]`."""

    @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]
        name="observe_teachers",
        specs=[
            dg.AssetSpec(
                key,
                description=DESCRIPTIONS[role],
                kinds={"vllm"},
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
            if not is_played(role):
                yield dg.ObserveResult(asset_key=key, data_version=dg.DataVersion(NOBODY))
                continue
            with clear_failures():
                identity = current_identity(role)
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
