"""The teacher as Dagster sees it: an observed asset whose version is model, revision, settings."""

import dagster as dg

from sdg_assets.assets.factory import TEACHER_KEY
from sdg_assets.examples import Role, content_id
from sdg_assets.settings import settings
from sdg_assets.teacher.models import resolve


def teacher_asset() -> dg.SourceAsset:
    """The observable source asset `teacher`."""

    @dg.observable_source_asset(
        key=TEACHER_KEY,
        group_name="teacher",
        description="The models that write, solve and judge, pinned by revision. A new version "
        "makes `generated` and all below it stale.",
    )
    def teacher(context: dg.OpExecutionContext) -> dg.DataVersion:
        names = {role: settings().teacher_of(role) for role in Role}
        found = {role: resolve(name, fetch=False) for role, name in names.items()}
        versions = {str(role): f"{m.card.model}@{m.revision}" for role, m in found.items()}
        context.log.info(f"teachers: {versions}")
        return dg.DataVersion(content_id(versions))

    return teacher
