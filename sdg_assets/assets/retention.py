"""Forgetting old runs: Dagster keeps every run and its event log for ever.

Hourly observations alone make 8,760 runs a year, and as many of `operations`, each with a database
file of its own on a laptop. Runs that materialized anything else stay: they are the partitions'
history, and what plots over time.
The same daily job clears the store of what killed runs and replaced versions left there.
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
    """Deletes finished runs, and their logs, that have materialized nothing but `operations`.

    The newest observation of each teacher stays as well, for partitions are compared with it, and
    the newest page of `operations`.

    Returns:
        How many were deleted.
    """
    before = datetime.now(UTC) - older_than
    records = instance.get_run_records(
        dg.RunsFilter(statuses=FINISHED_STATUSES, created_before=before)
    )
    observed = [instance.fetch_observations(key, limit=1).records for key in TEACHERS.values()]
    pages = instance.fetch_materializations(OPERATIONS, limit=1).records
    kept = {record.run_id for records_of in [*observed, pages] for record in records_of}
    forgotten = 0
    for record in records:
        run_id = record.dagster_run.run_id
        if run_id in kept or _materialized_something(instance, run_id):
            continue
        instance.delete_run(run_id)
        forgotten += 1
    return forgotten


def _materialized_something(instance: dg.DagsterInstance, run_id: str) -> bool:
    found = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=2
    )
    return any(record.asset_key != OPERATIONS for record in found.records)


@dg.op(name="forget_runs")
def forget_runs_op(context: dg.OpExecutionContext) -> None:
    """Forgets what is older than the setting says."""
    days = settings().keep_runs_days
    count = forget_runs(context.instance, timedelta(days=days))
    context.log.info(f"{count} runs older than {days} days forgotten")


@dg.op(name="clear_leftovers")
def clear_leftovers_op(context: dg.OpExecutionContext) -> None:
    """Clears the store of what nobody reads or writes any more."""
    with clear_failures():
        removed = clear_leftovers(Store(settings().store))
    context.log.info(f"{removed} files of killed runs and replaced versions removed")


@dg.job(
    description="Deletes old runs that materialized nothing but operations, and their logs; in "
    "the store, what killed runs and replaced versions left."
)
def forget_old_runs() -> None:
    """Forgets old runs."""
    forget_runs_op()
    clear_leftovers_op()
