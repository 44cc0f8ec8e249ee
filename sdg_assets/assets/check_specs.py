"""The checks of an asset, as the stage table lists them."""

from typing import Any

import dagster as dg

from sdg_assets.checks.inspection import ALL_CHECKS
from sdg_assets.records import Stage
from sdg_assets.stages.stage import STAGES


def check_specs(
    stage: Stage, asset: dg.AssetKey, partitions: dg.PartitionsDefinition[Any] | None = None
) -> list[dg.AssetCheckSpec]:
    """One check of the asset for each of its stage's, evaluated for each of its partitions."""
    return [
        dg.AssetCheckSpec(
            name, asset=asset, description=ALL_CHECKS[name], partitions_def=partitions
        )
        for name in STAGES[stage].checks
    ]
