"""The asset checks of a stage, from the stage table."""

from typing import Any

import dagster as dg

from sdg_assets.checks.table import described, stage_checks
from sdg_assets.records import Stage


def check_specs(
    stage: Stage, asset: dg.AssetKey, partitions: dg.PartitionsDefinition[Any] | None = None
) -> list[dg.AssetCheckSpec]:
    """One Dagster check spec per check of the stage, evaluated per partition."""
    return [
        dg.AssetCheckSpec(name, asset=asset, description=described(name), partitions_def=partitions)
        for name in stage_checks(stage)
    ]
