"""What a store holds, by listing it once: published partitions and unpublished attempts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.writer import ASIDE

MANIFEST = ".manifest.json"


def published_and_kept(
    store: Store, stages: Collection[str]
) -> tuple[list[PartitionKey], dict[PartitionKey, str]]:
    """The partitions of some stages.

    Args:
        store: The store.
        stages: The stages to look for.

    Returns:
        The keys of the published partitions, sorted; and partition → the newest version that was
        not published, because its checks failed, and kept aside.
    """
    published, kept = list[PartitionKey](), dict[PartitionKey, str]()
    for name in _files(store, stages):
        task, stage, subtask, *version = name.split("/")
        if version:
            key = PartitionKey(task, stage, subtask)
            kept[key] = max(kept.get(key, ""), version[0].partition(".")[0])
        else:
            published.append(PartitionKey(task, stage, subtask.removesuffix(MANIFEST)))
    return sorted(published), kept


def _files(store: Store, stages: Collection[str]) -> Iterator[str]:
    """Paths of manifests and of attempts that were kept aside, relative to the store."""
    if isinstance(store.root, Path):
        for stage in stages:
            for pattern in (f"*/{stage}/*{MANIFEST}", f"*/{stage}/*/*.{ASIDE}.*"):
                for file in store.root.glob(pattern):
                    yield file.relative_to(store.root).as_posix()
        return
    for listed in store.root.listing():
        _, *middle, name = listed.name.split("/")
        is_manifest = len(middle) == 1 and name.endswith(MANIFEST)
        is_kept = len(middle) == 2 and f".{ASIDE}." in name
        if middle[:1] and middle[0] in stages and (is_manifest or is_kept):
            yield listed.name
