"""The passages in the store: written once with their index, loaded once a process."""

from __future__ import annotations

from functools import lru_cache

from sdg_assets.errors import StoreError, TransientError
from sdg_assets.passages.index import PassageIndex
from sdg_assets.passages.reading import name_of
from sdg_assets.records import Passage
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import Place
from sdg_assets.store.row_file import RowFile

KEY = PartitionKey("passages", "passages", "all")
"""Where the admitted passages lie, with the refused ones beside them."""
SOURCE = "source"
"""Entry of the manifest: what the passages were read from."""


def passage_keys(setting: str | None) -> list[PartitionKey]:
    """What a step must pin to see one version of the passages; nothing without `SDG_PASSAGES`."""
    return [KEY] if setting else []


def has_passages(store: Store, setting: str) -> bool:
    """Whether the store holds the passages that `SDG_PASSAGES` names."""
    manifest = store.manifests([KEY]).get(KEY)
    return manifest is not None and manifest.info.get(SOURCE) == name_of(setting)


def passage_index(store: Store, setting: str | None) -> PassageIndex | None:
    """The passages of a store with their index; None without `SDG_PASSAGES`.

    Args:
        store: The store.
        setting: `SDG_PASSAGES`.

    Raises:
        StoreError: The store does not hold these passages.
    """
    if not setting:
        return None
    if not has_passages(store, setting):
        raise StoreError(
            f"SDG_PASSAGES={setting}: these passages are not in the store; materialize the asset "
            f"{KEY.task} first"
        )
    return _loaded(store.root, store.manifest(KEY).version)


@lru_cache(maxsize=1)
def _loaded(root: Place, version: str) -> PassageIndex:
    store = Store(root).pinned([KEY])
    manifest = store.manifest(KEY)
    if manifest.version != version:
        raise TransientError(f"{KEY.task} were replaced while a step began; run it again")
    passages = RowFile(Passage, store.read(KEY, Passage))
    attachments = {name: store.attachment(KEY, name) for name in manifest.attached}
    return PassageIndex(passages, attachments, manifest.sha256)
