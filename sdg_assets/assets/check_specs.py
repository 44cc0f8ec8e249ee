"""The checks of an asset, as the stage table lists them."""

from typing import Any

import dagster as dg

from sdg_assets.checks.table import described, stage_checks
from sdg_assets.records import Stage


def check_specs(
    stage: Stage, asset: dg.AssetKey, partitions: dg.PartitionsDefinition[Any] | None = None
) -> list[dg.AssetCheckSpec]:
    """One check of the asset for each of its stage's, evaluated for each of its partitions."""
    return [
        dg.AssetCheckSpec(name, asset=asset, description=described(name), partitions_def=partitions)
        for name in stage_checks(stage)
    ]
