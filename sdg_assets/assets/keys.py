"""Asset keys, and the paths of their pages in the UI."""

from urllib.parse import quote

import dagster as dg

from sdg_assets.heldout.protection import PROTECTED
from sdg_assets.records import Stage


def asset_key(task: str, stage: Stage) -> dg.AssetKey:
    """The key `[task, stage]`, as plain strings: Dagster cannot serialize an enum in a key."""
    return dg.AssetKey([task, stage.value])


def asset_page(asset: str) -> str:
    """The path of an asset's page.

    Args:
        asset: Its key as the UI writes it, such as `gsm8k/seeds`.
    """
    return f"/assets/{quote(asset)}"


def partition_page(asset: str, partition: str) -> str:
    """The path of a partition's page; the asset as for `asset_page`."""
    return f"{asset_page(asset)}?view=partitions&partition={quote(partition, safe='')}"


BENCHMARKS = asset_key(PROTECTED, Stage.HELDOUT)
"""The hashes of the protected benchmarks, one partition per benchmark."""
CURATED = dg.AssetKey(Stage.CURATED.value)
COVERAGE = dg.AssetKey("coverage")
"""The coverage matrix of all subtasks."""
PASSAGES = dg.AssetKey("passages")
"""The passages that backgrounds are written from; only with `SDG_PASSAGES`."""
