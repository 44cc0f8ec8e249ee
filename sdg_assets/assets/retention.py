"""Deletes old runs, because Dagster keeps every run and its event log for ever.

Hourly observations alone make 8,760 runs a year, and as many of `operations`, each with its own
database file on a laptop. Runs that materialized any other asset are kept: they are the history of
the partitions, and the UI plots them over time.
The same daily job deletes leftovers of killed runs and replaced versions from the store.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from sdg_assets.assets.failures import clear_failures
from sdg_assets.assets.operations import OPERATIONS
from sdg_assets.assets.teacher import TEACHERS
from sdg_assets.dagster_internals import FINISHED_STATUSES
from sdg_assets.settings import settings
from sdg_assets.store.leftovers import clear_leftovers
from sdg_assets.store.partitions import Store


def forget_runs(instance: dg.DagsterInstance, older_than: timedelta) -> int:
    """Deletes old finished runs that materialized only `operations` or nothing.

    Their event logs and the output of their steps go with them.

    The runs with the newest observation of each teacher are kept, because partitions are compared
    with it. So is the run with the newest `operations` page.

    Args:
        instance: The Dagster instance.
        older_than: Minimum age of a run to delete, since its creation.

    Returns:
        The number of deleted runs.
    """
    before = datetime.now(UTC) - older_than
    records = instance.get_run_records(
        dg.RunsFilter(statuses=FINISHED_STATUSES, created_before=before)
    )
    observed = [instance.fetch_observations(key, limit=1).records for key in TEACHERS.values()]
    pages = instance.fetch_materializations(OPERATIONS, limit=1).records
    kept = {record.run_id for records_of in [*observed, pages] for record in records_of}
    deleted = 0
    for record in records:
        run_id = record.dagster_run.run_id
        if run_id in kept or _materialized_more_than_operations(instance, run_id):
            continue
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
        deleted += 1
    return deleted


def _materialized_more_than_operations(instance: dg.DagsterInstance, run_id: str) -> bool:
    materializations = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=2
    )
    return any(record.asset_key != OPERATIONS for record in materializations.records)


@dg.op(name="forget_runs")
def forget_runs_op(context: dg.OpExecutionContext) -> None:
    """Deletes runs older than `SDG_KEEP_RUNS_DAYS`."""
    days = settings().keep_runs_days
    count = forget_runs(context.instance, timedelta(days=days))
    context.log.info(f"{count} runs older than {days} days deleted")


@dg.op(name="clear_leftovers")
def clear_leftovers_op(context: dg.OpExecutionContext) -> None:
    """Deletes files from the store that no run reads or writes any more."""
    with clear_failures():
        removed = clear_leftovers(Store(settings().store))
    context.log.info(f"{removed} files of killed runs and replaced versions removed")


@dg.job(
    description="Deletes old runs that materialized only operations or nothing, and their logs. "
    "Also deletes leftovers of killed runs and replaced versions from the store."
)
def forget_old_runs() -> None:
    """Deletes old runs and leftovers."""
    forget_runs_op()
    clear_leftovers_op()
