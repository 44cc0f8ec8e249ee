"""The code location, assembled from the catalog. Nothing heavy is imported here."""

import warnings

import dagster as dg

from sdg_assets.assets.automation import schedules, sensors
from sdg_assets.assets.curated import curated_asset
from sdg_assets.assets.factory import task_assets
from sdg_assets.assets.heldout import heldout_asset, protected_asset
from sdg_assets.assets.jobs import jobs
from sdg_assets.assets.operations import operations_asset
from sdg_assets.assets.slots import weigh_slots
from sdg_assets.assets.teacher import teacher_assets
from sdg_assets.catalog import configured_catalog
from sdg_assets.settings import Settings, settings


def executor_of(chosen: Settings) -> dg.ExecutorDefinition:
    """The executor that `SDG_EXECUTOR` names.

    In one process by default: `generated` and `enriched` of a run then share one loaded engine.
    """
    if chosen.executor == "multiprocess":
        return dg.multiprocess_executor
    if chosen.executor == "k8s":
        from sdg_assets.cluster.executor import k8s_executor

        return k8s_executor
    return dg.in_process_executor


def build_definitions() -> dg.Definitions:
    """Every enabled seed task's assets, the teachers, the release, and what runs them."""
    catalog = configured_catalog(settings())
    weigh_slots()
    with warnings.catch_warnings():
        # Backfill policies are beta and partitioned checks preview in 1.13: known, pinned, and
        # said once an asset, which buries everything else on the terminal.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.Definitions(
            assets=[
                teacher_assets(),
                *(asset for task in catalog.enabled() for asset in task_assets(task)),
                *(heldout_asset(task) for task in catalog.enabled()),
                protected_asset(),
                curated_asset(catalog),
                operations_asset(),
            ],
            jobs=jobs(),
            schedules=schedules(),
            sensors=sensors(),
            executor=executor_of(settings()),
        )


defs = build_definitions()
