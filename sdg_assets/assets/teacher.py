"""The teacher as Dagster sees it: an observed asset whose version is model, revision, settings."""

import dagster as dg

from sdg_assets.assets.factory import TEACHER_KEY
from sdg_assets.examples import Role, content_id
from sdg_assets.settings import settings
from sdg_assets.teacher.models import resolve


def _version(name: str) -> str:
    """What pins a teacher: model, revision and engine settings; for a server, its address."""
    if name.startswith(("http://", "https://")):
        return name
    found = resolve(name, fetch=False, catalog=settings().catalog)
    return f"{found.card.model}@{found.revision}+{content_id(found.card.engine)[:8]}"


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
        versions = {str(role): _version(name) for role, name in names.items()}
        context.log.info(f"teachers: {versions}")
        return dg.DataVersion(content_id(versions))

    return teacher
