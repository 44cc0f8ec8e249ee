"""Removes, by age, the files of killed processes and of replaced versions.

Each run cleans up the partition that it writes. This module cleans up all the rest: partitions that
are never written again, and temporary directories. It runs daily (see `assets/retention.py`).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from sdg_assets.errors import StoreError
from sdg_assets.records import Stage
from sdg_assets.store import notes
from sdg_assets.store.objects import Listed
from sdg_assets.store.partitions import ABANDONED, PartitionKey, Store
from sdg_assets.store.places import clear_drafts, clear_scratch, listing


def clear_leftovers(store: Store) -> int:
    """Cleans up a whole store, and this package's temporary directories on this machine.

    Removes replaced versions, unpublished attempts and drafts once each is old enough (see
    `Store.clear`). Completion logs and releases are never touched.

    Returns:
        Number of files and directories that were removed.

    Raises:
        StoreError: Some manifests are corrupt. The other partitions were cleaned up first.
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
    """Partition → the files of all its versions, from one listing of the store."""
    versions: defaultdict[PartitionKey, list[Listed]] = defaultdict(list)
    for file in listing(store.root):
        task, *middle, name = file.name.split("/")
        # Segments of completion logs are equally deep: `<task>/completions/<subtask>/…segments/`.
        is_kept = middle[:1] in (["completions"], [notes.FOLDER])
        if len(middle) == 2 and not is_kept and task != Stage.CURATED:
            versions[PartitionKey(task, *middle)].append(Listed(name, file.size, file.modified))
    return versions
