"""The search over all partitions of a release, on the engine that is set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from sdg_assets.errors import PermanentError
from sdg_assets.signatures.table import ATTACHMENT
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets.signatures.verdicts import Verdicts
from sdg_assets.store.partitions import PartitionKey, Store

SearchEngine = Literal["local", "spark"]


def duplicates_across(
    store: Store,
    keys: Iterable[PartitionKey],
    thresholds: Callable[[str], DuplicateThresholds],
    engine: SearchEngine,
    without: Mapping[str, Sequence[int]],
) -> Verdicts:
    """Finds the rows of `filtered` that duplicate one another, from their signatures only.

    Args:
        store: The store with the partitions.
        keys: Partitions of `filtered`; their order does not matter.
        thresholds: `str(key)` → the similarity from which a row of that partition duplicates a
            better row of any partition.
        engine: `local`: this machine, with bounded memory. `spark`: the current Spark session.
        without: `str(key)` → positions of rows that are refused already. They are no duplicates,
            and no row duplicates them.

    Returns:
        The verdicts; `refusals(str(key))` gives those of a partition, by row position.

    Raises:
        StoreError: A partition has no signatures, or has them in another format; materialize it
            again.
        PermanentError: The engine cannot be used.
    """
    if engine == "spark":
        from sdg_assets.signatures.spark import search_spark

        files = {}
        for key in keys:
            with store.open_attachment(key, ATTACHMENT):
                pass  # verifies the file before the workers read it
            file = store.attachment_path(key, ATTACHMENT)
            if not isinstance(file, Path):
                raise PermanentError(
                    "SDG_DUPLICATE_SEARCH=spark needs a store in a directory that its workers can "
                    f"read, not {store.root}; local searches a bucket, with bounded memory"
                )
            files[str(key)] = file
        return search_spark(files, thresholds, without)
    from sdg_assets.signatures.scratch import search_local

    opened = {str(key): partial(store.open_attachment, key, ATTACHMENT) for key in keys}
    return search_local(opened, thresholds, without)
