"""What killed processes and earlier versions leave behind, cleared by age.

Each run clears the partition it writes; a partition that nobody writes again, and the folders that
no partition owns, are cleared daily (see `retention.py`).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from sdg_assets.errors import StoreError
from sdg_assets.records import Stage
from sdg_assets.store.objects import Listed
from sdg_assets.store.partitions import ABANDONED, PartitionKey, Store
from sdg_assets.store.places import clear_drafts, clear_scratch, listing


def clear_leftovers(store: Store) -> int:
    """Clears a whole store, and the temporary directory of this machine.

    Args:
        store: Its partitions' replaced versions, attempts kept aside, and drafts go, each by its
            age (see `Store.clear`). Completion logs and releases are never touched.

    Returns:
        How many files and directories were removed.

    Raises:
        StoreError: Manifests are corrupt. All other partitions are cleared by then.
    """
    before = datetime.now(UTC) - ABANDONED
    removed = clear_drafts(store.root, before) + clear_scratch(before)
    corrupt = []
    for key, files in _versions(store).items():
        try:
            removed += store.clear(key, files)
        except StoreError as error:
            corrupt.append(str(error))
    if corrupt:
        raise StoreError("\n".join(corrupt))
    return removed


def _versions(store: Store) -> dict[PartitionKey, list[Listed]]:
    """Partition → the files of its versions, from one listing."""
    versions: defaultdict[PartitionKey, list[Listed]] = defaultdict(list)
    for file in listing(store.root):
        task, *middle, name = file.name.split("/")
        # A completion log's segments lie as deep, in `<task>/completions/<subtask>/…segments/`.
        if len(middle) == 2 and middle[0] != "completions" and task != Stage.CURATED:
            versions[PartitionKey(task, *middle)].append(Listed(name, file.size, file.modified))
    return versions
