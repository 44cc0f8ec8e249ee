"""What a store holds: partitions, releases, and the newest unpublished attempt of each partition.

An address can only name what is listed here, so no part of it becomes a path before it was compared
with the listing.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from sdg_assets.browse.tables import Table, partition_table, read_range, release_table
from sdg_assets.errors import PermanentError
from sdg_assets.records import Stage
from sdg_assets.release.published import Published, releases
from sdg_assets.stages.stage import ROW_STAGES
from sdg_assets.store.keys import published_and_kept
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.partitions import REQUESTS, PartitionKey, Store

SECONDS = 10.0
"""How long a listing is used again: a page must not list a bucket for every click."""
HEAD_BYTES = 1 << 16
SECOND = len("20260101T000000")
WRITTEN = (Stage.FILTERED, Stage.ENRICHED, Stage.GENERATED)
_MODEL = re.compile(r'"teacher":\{"model":"((?:[^"\\]|\\.)*)"')
T = TypeVar("T")


class NotInStoreError(PermanentError):
    """An address names something that the store does not hold."""


@dataclass(frozen=True)
class Subtask:
    """The published partitions of a subtask."""

    task: str
    name: str
    manifests: Mapping[str, Manifest]
    """Stage → the manifest of its published version."""
    failed: Sequence[str]
    """Stages whose newest attempt broke a check and was not published."""
    teacher: str
    """Model that wrote its rows; empty before `generated`."""


class Library:
    """The store, as the pages see it."""

    def __init__(self, store: Store) -> None:
        """Lists nothing yet."""
        self.store = store
        self._subtasks = _Lately(self._list_subtasks)
        self._releases = _Lately(lambda: releases(store.root))

    def subtasks(self) -> dict[tuple[str, str], Subtask]:
        """(task, name) → subtask, of everything that has a published partition."""
        return self._subtasks.value()

    def subtask(self, task: str, name: str) -> Subtask:
        """A subtask.

        Raises:
            NotInStoreError: The store holds no partition of it.
        """
        try:
            return self.subtasks()[task, name]
        except KeyError:
            raise NotInStoreError(f"{task}/{name}: no such subtask in the store") from None

    def partition(self, task: str, name: str, stage: str) -> Table:
        """The table of a partition's published version.

        Raises:
            NotInStoreError: It is not published.
            StoreError: Its manifest is corrupt.
        """
        if stage not in self.subtask(task, name).manifests:
            raise NotInStoreError(f"{task}/{name}: the stage {stage!r} is not in the store")
        return partition_table(self.store, PartitionKey(task, stage, name))

    def releases(self) -> list[Published]:
        """All releases, newest first."""
        return self._releases.value()

    def release(self, name: str) -> Published:
        """A release.

        Raises:
            NotInStoreError: There is none with this id.
        """
        for release in self.releases():
            if release.id == name:
                return release
        raise NotInStoreError(f"{name}: no such release in the store")

    def release_table(self, name: str) -> Table:
        """The table of a release; raises as `release`."""
        return release_table(self.release(name))

    def _list_subtasks(self) -> dict[tuple[str, str], Subtask]:
        keys, kept = published_and_kept(self.store, [stage.value for stage in ROW_STAGES])
        grouped: dict[tuple[str, str], dict[str, Manifest]] = {}
        for key, manifest in self.store.manifests(keys).items():
            grouped.setdefault((key.task, key.subtask), {})[key.stage] = manifest
        failed: dict[tuple[str, str], list[str]] = {}
        for key, version in sorted(kept.items()):
            manifests = grouped.get((key.task, key.subtask), {})
            published = manifests.get(key.stage)
            # A version begins with its second; what follows is drawn by lot.
            if not published or published.version[:SECOND] <= version[:SECOND]:
                failed.setdefault((key.task, key.subtask), []).append(key.stage)
        with ThreadPoolExecutor(REQUESTS) as pool:
            writers = dict(
                zip(grouped, pool.map(self._writer, grouped, grouped.values()), strict=True)
            )
        return {
            (task, name): Subtask(
                task, name, _in_order(stages), failed.get((task, name), ()), writers[task, name]
            )
            for (task, name), stages in grouped.items()
        }

    def _writer(self, name: tuple[str, str], manifests: Mapping[str, Manifest]) -> str:
        """The model that wrote a subtask's first row."""
        task, subtask = name
        for stage in WRITTEN:
            if (manifest := manifests.get(stage.value)) and manifest.rows:
                place = self.store.path(PartitionKey(task, stage.value, subtask))
                match = _MODEL.search(read_range(place, 0, HEAD_BYTES).decode("utf-8", "replace"))
                return match[1] if match else ""
        return ""


def _in_order(stages: Mapping[str, Manifest]) -> dict[str, Manifest]:
    return {stage.value: stages[stage.value] for stage in ROW_STAGES if stage.value in stages}


class _Lately(Generic[T]):
    """A value that is computed again once it is `SECONDS` old."""

    def __init__(self, compute: Callable[[], T]) -> None:
        self._compute = compute
        self._lock = threading.Lock()
        self._value: T | None = None
        self._at = 0.0

    def value(self) -> T:
        with self._lock:
            if self._value is None or time.monotonic() - self._at > SECONDS:
                self._value = self._compute()
                self._at = time.monotonic()
            return self._value
