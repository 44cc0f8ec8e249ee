"""The code location, built from the catalog. It must not import anything heavy."""

import warnings

import dagster as dg

from sdg_assets.assets.automation import schedules, sensors
from sdg_assets.assets.before_filling import subtasks_to_fill
from sdg_assets.assets.coverage import coverage_asset
from sdg_assets.assets.covering import cover, cover_again
from sdg_assets.assets.curated import curated_asset
from sdg_assets.assets.factory import task_assets
from sdg_assets.assets.heldout import heldout_asset, protected_asset
from sdg_assets.assets.jobs import jobs
from sdg_assets.assets.operations import operations_asset
from sdg_assets.assets.passages import passages_assets
from sdg_assets.assets.slots import weigh_slots
from sdg_assets.assets.teacher import teacher_assets
from sdg_assets.catalog import configured_catalog
from sdg_assets.settings import Settings, settings


def executor_of(current_settings: Settings) -> dg.ExecutorDefinition:
    """The executor that `SDG_EXECUTOR` names.

    By default all steps of a run share one process, so that `generated` and `enriched` share one
    loaded engine.
    """
    if current_settings.executor == "multiprocess":
        return dg.multiprocess_executor
    if current_settings.executor == "k8s":
        from sdg_assets.cluster.executor import k8s_executor

        return k8s_executor(subtasks_to_fill)
    return dg.in_process_executor


def build_definitions() -> dg.Definitions:
    """All assets, jobs, schedules and sensors, and the executor."""
    catalog = configured_catalog(settings())
    weigh_slots()
    with warnings.catch_warnings():
        # In Dagster 1.13 backfill policies are beta and partitioned checks are a preview. We know
        # this and pin the version; one warning per asset would hide all other output.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.Definitions(
            assets=[
                teacher_assets(),
                *(asset for task in catalog.enabled() for asset in task_assets(task)),
                *(heldout_asset(task) for task in catalog.enabled()),
                protected_asset(),
                *passages_assets(),
                curated_asset(catalog),
                coverage_asset(catalog),
                operations_asset(),
            ],
            jobs=[*jobs(), cover],
            schedules=schedules(),
            sensors=[*sensors(), cover_again()],
            executor=executor_of(settings()),
        )


defs = build_definitions()
