"""Which runs share a budget of tokens."""

from __future__ import annotations

import dagster as dg

from sdg_assets.dagster_internals import BACKFILL_ID_TAG, RETRY_NUMBER_TAG


def budget_name(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """The name of a run's budget: all runs of a backfill have one together.

    A run that Dagster retries after a crash goes on with what is left of its budget. One that a
    person launches, or re-executes after the end of its backfill, has a budget of its own.

    Args:
        instance: Where the run is recorded.
        run: The run.
    """
    while RETRY_NUMBER_TAG in run.tags and run.parent_run_id:
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is None:
            break
        run = parent
    return run.tags.get(BACKFILL_ID_TAG) or run.run_id
