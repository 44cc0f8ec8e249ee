"""Runs the jobs that launch backfills, and reads what they launched."""

from __future__ import annotations

from typing import Any

import dagster as dg

from sdg_assets.dagster_internals import PartitionBackfill
from sdg_assets_tests.support.runs import QUIET


def launched_by(
    job: dg.JobDefinition, instance: dg.DagsterInstance, config: dict[str, Any]
) -> tuple[dg.ExecuteInProcessResult, list[PartitionBackfill]]:
    """Runs a job; returns all backfills of the instance, the newest first."""
    result = job.execute_in_process(
        run_config={"ops": {f"launch_{job.name}": {"config": config}}, "loggers": QUIET},
        instance=instance,
        raise_on_error=False,
    )
    return result, list(instance.get_backfills())


def targets(backfill: PartitionBackfill) -> dict[str, set[str]]:
    """Asset → the partitions that a backfill is to make."""
    data = backfill.asset_backfill_data
    assert data
    subsets = data.target_subset.partitions_subsets_by_asset_key
    return {key.to_user_string(): set(s.get_partition_keys()) for key, s in subsets.items()}
