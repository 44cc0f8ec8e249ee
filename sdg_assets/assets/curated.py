"""The `curated` asset: one release over every partition that is there."""

from collections.abc import Iterator

import dagster as dg

from sdg_assets.catalog import Catalog, cached_catalog
from sdg_assets.errors import PermanentError, SdgError
from sdg_assets.examples import EnrichedExample
from sdg_assets.release import write_release
from sdg_assets.settings import settings
from sdg_assets.stages.curated import curate
from sdg_assets.storage import PartitionKey, Store
from sdg_assets.teacher.models import teacher_cards


def curated_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """The release asset, downstream of every enabled task's `filtered`."""
    tasks = catalog.enabled()

    @dg.asset(
        key="curated",
        group_name="curated",
        deps=[
            dg.AssetDep(
                dg.AssetKey([task.task, "filtered"]),
                partition_mapping=dg.AllPartitionMapping(),
            )
            for task in tasks
        ],
        kinds={"polars", "parquet"},
        description="One release: accepted rows of all partitions, unique, with their training "
        "texts and licences.",
    )
    def curated(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        store = Store(settings().store)
        current = cached_catalog(settings().catalog)
        keys = [
            key
            for task in current.enabled()
            for subtask in task.enabled_subtasks()
            if store.exists(key := PartitionKey(task.task, "filtered", subtask))
        ]

        def rows() -> Iterator[EnrichedExample]:
            for key in keys:
                yield from store.read(key, EnrichedExample)

        seed_use = {
            subtask: task.resolve(subtask).commercial_use
            for task in current.enabled()
            for subtask in task.enabled_subtasks()
        }
        cards = teacher_cards(settings().catalog).values()
        teacher_use = {card.model: card.commercial_use for card in cards}
        try:
            inputs = {str(key): store.manifest(key).sha256 for key in keys}
            curated_rows = curate(rows(), seed_use, teacher_use, settings().text_style)
            release = write_release(store.root, inputs, curated_rows)
        except SdgError as error:
            permanent = isinstance(error, PermanentError)
            raise dg.Failure(str(error), allow_retries=not permanent) from error
        return dg.MaterializeResult(
            metadata={
                "rows": release.rows,
                "rows_rejected": release.rejected,
                "partitions": len(keys),
                "release": release.id,
                "path": dg.MetadataValue.path(str(release.path)),
                **{f"rows_{family}": count for family, count in release.families.items()},
                "rows_commercial": release.commercial,
            }
        )

    return curated
