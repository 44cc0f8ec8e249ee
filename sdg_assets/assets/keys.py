"""The keys of assets, which Dagster stores as texts."""

import dagster as dg

from sdg_assets.heldout.protection import PROTECTED
from sdg_assets.records import Stage


def asset_key(task: str, stage: Stage) -> dg.AssetKey:
    """The asset `[task, stage]`. Dagster cannot serialize a key that holds an enum."""
    return dg.AssetKey([task, stage.value])


BENCHMARKS = asset_key(PROTECTED, Stage.HELDOUT)
"""The hashes of the protected benchmarks, a partition a benchmark."""
CURATED = dg.AssetKey(Stage.CURATED.value)
