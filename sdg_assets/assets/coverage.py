"""The `coverage` asset: what the accepted rows of all subtasks train, with holes and surpluses."""

from base64 import b64encode
from io import BytesIO

import dagster as dg

from sdg_assets.assets.failures import clear_failures
from sdg_assets.assets.keys import COVERAGE, asset_key
from sdg_assets.catalog import Catalog, configured_catalog
from sdg_assets.catalog.taxonomy import load_taxonomy
from sdg_assets.records import Stage
from sdg_assets.release.matrix_page import matrix_page
from sdg_assets.release.pictures import draw_matrix
from sdg_assets.settings import Settings, settings
from sdg_assets.stages.matrix import Matrix, difficulties_in, matrix_of
from sdg_assets.stages.stage import STAGES
from sdg_assets.store.partitions import Store

COLOURS = 64


def coverage_asset(catalog: Catalog) -> dg.AssetsDefinition:
    """The `coverage` asset, downstream of what a release reads."""

    @dg.asset(
        key=COVERAGE,
        group_name=Stage.CURATED.value,
        owners=settings().owners,
        deps=[
            dg.AssetDep(asset_key(task.task, above), partition_mapping=dg.AllPartitionMapping())
            for task in catalog.enabled()
            for above in STAGES[Stage.CURATED].inputs
        ],
        kinds={"dagster"},
        description="Accepted rows by behaviour, skill, domain, language, answer kind and "
        "difficulty; the holes that enabled subtasks could fill, and the surpluses. Made "
        "after each release, and whenever you materialize it.",
    )
    def coverage() -> dg.MaterializeResult[None]:
        with clear_failures():
            matrix = stored_matrix(settings())
        metadata: dict[str, dg.MetadataValue | int] = {
            "rows": matrix.rows,
            "cells": len(matrix.cells),
            "holes": len(matrix.holes()),
            "surpluses": len(matrix.surpluses()),
        }
        if matrix.rows:
            metadata["picture"] = dg.MetadataValue.md(matrix_picture(matrix))
            metadata["page"] = dg.MetadataValue.md(matrix_page(matrix))
        else:
            metadata["page"] = dg.MetadataValue.md(
                f"Nothing to count: no `{Stage.FILTERED}` partition of an enabled subtask in "
                f"{settings().store} has a row. Materialize some first."
            )
        return dg.MaterializeResult(metadata=metadata)

    return coverage


def stored_matrix(current_settings: Settings) -> Matrix:
    """The matrix of all enabled subtasks and their accepted rows in the store."""
    tasks = configured_catalog(current_settings).enabled()
    specs = [task.resolve(key) for task in tasks for key in task.enabled_subtasks()]
    return matrix_of(
        specs,
        difficulties_in(Store(current_settings.store), specs),
        load_taxonomy(current_settings.catalog),
        current_settings.coverage_minimum,
        current_settings.coverage_share,
    )


def matrix_picture(matrix: Matrix) -> str:
    """The heat map as a Markdown image that holds the picture itself.

    The UI loads the metadata of many materializations at once. A palette makes the picture of the
    whole catalog a quarter as large, 43 kB.
    """
    from PIL import Image

    drawn, picture = BytesIO(), BytesIO()
    draw_matrix(drawn, matrix)
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(picture, "PNG", optimize=True)
    return f"![coverage](data:image/png;base64,{b64encode(picture.getvalue()).decode()})"
