"""The keys of all published partitions of a store, by listing it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from sdg_assets.store.partitions import PartitionKey, Store

MANIFEST = ".manifest.json"


def published_keys(store: Store, stages: Collection[str]) -> list[PartitionKey]:
    """The keys of the partitions that have a manifest, sorted.

    Args:
        store: The store.
        stages: The stages to look for.
    """
    keys = []
    for name in _manifests(store, stages):
        task, stage, file = name.split("/")
        keys.append(PartitionKey(task, stage, file.removesuffix(MANIFEST)))
    return sorted(keys)


def _manifests(store: Store, stages: Collection[str]) -> Iterator[str]:
    """Paths `<task>/<stage>/<subtask>.manifest.json`, relative to the store."""
    if isinstance(store.root, Path):
        for stage in stages:
            for file in store.root.glob(f"*/{stage}/*{MANIFEST}"):
                yield file.relative_to(store.root).as_posix()
        return
    for listed in store.root.listing():
        parts = listed.name.split("/")
        if len(parts) == 3 and parts[1] in stages and listed.name.endswith(MANIFEST):
            yield listed.name
