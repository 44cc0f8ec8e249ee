"""The teachers as observable assets, one per role.

A teacher's version consists of model, revision, the settings that change its output, the limits of
its context and thought, and the role's prompts. A new version of the writer makes `generated` and
all downstream stages stale. A new version of the solver, the judge or the probe makes `enriched`
stale.
"""

from collections.abc import Iterator
from functools import cache

import dagster as dg

from sdg_assets import teacher
from sdg_assets.assets.failures import clear_failures
from sdg_assets.enrichment.grounding import grounding_version
from sdg_assets.records import Role, TeacherClass, content_id
from sdg_assets.settings import settings
from sdg_assets.stages.about_passages import ABOUT
from sdg_assets.stages.prompt_versions import role_versions
from sdg_assets.teacher import check_thinking, identity_of
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of
from sdg_assets.teacher.requests import TeacherIdentity

TEACHERS = {role: dg.AssetKey(["teacher", role.value]) for role in Role}
DESCRIPTIONS = {
    Role.WRITER: "Writes new examples. A new version makes `generated` stale.",
    Role.SOLVER: "Answers the new questions without seeing the writer's answers, and writes "
    "background. A new version makes `enriched` stale.",
    Role.JUDGE: "Scores the rows that the votes verified. A new version makes `enriched` stale.",
    Role.PROBE: "Answers the rows that the votes verified, to measure how hard they are: a weaker "
    "model. A new version makes `enriched` stale.",
}


NOBODY = "nobody"
"""The version of a role that nobody plays."""


def is_played(role: Role, identity: TeacherIdentity | None = None) -> bool:
    """Whether a teacher plays the role; see `teacher.is_played`."""
    return teacher.is_played(settings(), role, identity)


def version_of(role: Role, identity: TeacherIdentity) -> str:
    """The data version of a teacher in a role: model@revision, settings, prompts, thinking mode.

    With passages, the solver's and the writer's also have the version of what they are told.
    """
    api = f"+{settings().judge_api}" if role is Role.JUDGE else ""
    mode = settings().thinking.get(role, "")
    thinking = f"+thinking={mode}" if mode else ""
    passages = ""
    if role is Role.SOLVER and settings().passages:
        passages = f"+passages={grounding_version()}"
    if role is Role.WRITER and settings().passage_questions:
        passages = f"+passages={content_id(ABOUT)[:8]}"
    prompts = _prompts(role, identity.teacher_class)
    return f"{identity.data_version}+{prompts}{api}{thinking}{passages}"


@cache
def _prompts(role: Role, teacher_class: TeacherClass) -> str:
    return content_id(role_versions(role, teacher_class))[:8]


def current_identity(role: Role) -> TeacherIdentity:
    """The teacher that plays the role now, determined without loading a model.

    Raises:
        PermanentError: The teacher does not exist.
        TransientError: The Hub or the server cannot be reached.
    """
    return identity_of(settings(), role)


def teacher_assets() -> dg.AssetsDefinition:
    """The observable assets `[teacher, role]`.

    Raises:
        TeacherError: No backend serves a teacher, several do, or its model cannot think as the
            settings ask. It is raised when the code location loads, before any run starts.
    """
    specs = {role: TeacherSpec.of(settings(), role) for role in TEACHERS}
    for role in TEACHERS:
        check_thinking(settings(), role)

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
                    "max_model_len": identity.max_model_len or "as the model states",
                    "prompts": _prompts(role, identity.teacher_class),
                    "thinking": settings().thinking.get(role, "") or "default",
                },
            )

    assert isinstance(observe_teachers, dg.AssetsDefinition)
    return observe_teachers
