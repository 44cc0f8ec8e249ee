"""Asset keys."""

import dagster as dg

from sdg_assets.heldout.protection import PROTECTED
from sdg_assets.records import Stage


def asset_key(task: str, stage: Stage) -> dg.AssetKey:
    """The key `[task, stage]`, as plain strings: Dagster cannot serialize an enum in a key."""
    return dg.AssetKey([task, stage.value])


BENCHMARKS = asset_key(PROTECTED, Stage.HELDOUT)
"""The hashes of the protected benchmarks, one partition per benchmark."""
CURATED = dg.AssetKey(Stage.CURATED.value)
COVERAGE = dg.AssetKey("coverage")
"""The coverage matrix of all subtasks."""
PASSAGES = dg.AssetKey("passages")
"""The passages that backgrounds are written from; only with `SDG_PASSAGES`."""
