"""Finds rows that another task seeds, too, for tasks that share rows (`overlaps:`).

The same row can have other column names, another case and another order of options. So rows are
compared by hashes of their text without case, punctuation and spaces.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from sdg_assets.catalog import Catalog, SeedTask, SubtaskSpec
from sdg_assets.errors import AbsentError, MappingError, SeedSourceError
from sdg_assets.mapping.mapper import mapper_of
from sdg_assets.records import Content, Example
from sdg_assets.sources.source import SeedSource

# In characters. Two equal questions of at least this length are the same row, even with other
# options. Shorter ones ("What is the best title?") are the same row only with equal options.
_SPEAKS_FOR_ITSELF = 40
_NO_CONTENT = [c for c in map(chr, range(0x10000)) if unicodedata.category(c)[0] in "PZC"]
_IGNORED = re.compile(f"[{re.escape(''.join(_NO_CONTENT))}]+")


class SeededElsewhere:
    """The rows that other tasks seed. Call it with an example to get the task that seeds it."""

    def __init__(self, keys: Iterable[tuple[str, Iterable[int]]]) -> None:
        """Stores (task, keys of its rows) pairs; `row_keys` makes the keys."""
        # Sorted 8-byte integers take a tenth of a set's memory. Half a million rows are common.
        self._keys = {task: array("Q", sorted(set(task_keys))) for task, task_keys in keys}

    def __call__(self, example: Example | Content) -> str | None:
        """The task that seeds this row; None if no other task does."""
        for key in row_keys(example):
            for task, keys in self._keys.items():
                at = bisect_left(keys, key)
                if at < len(keys) and keys[at] == key:
                    return task
        return None


def seeded_elsewhere(task: SeedTask, catalog: Catalog, source: SeedSource) -> SeededElsewhere:
    """Reads the seed rows of the tasks that this task overlaps.

    Args:
        task: A task with `overlaps`.
        catalog: The catalog with the other tasks. Disabled ones seed nothing.
        source: The source of their rows. A split that it does not have is skipped: it cannot be
            seeded twice.

    Returns:
        A callable that returns the other task that seeds a row.

    Raises:
        SeedSourceError: The source has rows of an overlapped task but they cannot be read, for
            example because the dataset is gated. Once readable, they would be seeded twice.
    """
    others = (catalog.task(name) for name in task.overlaps)
    return SeededElsewhere((other.task, _keys_of(task, other, source)) for other in others)


def row_keys(row: Example | Content) -> Iterator[int]:
    """The 64-bit hashes by which a row is recognised, the most specific first."""
    text = _bare(f"{row.context}{row.question}")
    yield _hash("\n".join([text, *sorted(map(_bare, row.choices))]))
    if row.choices and len(text) >= _SPEAKS_FOR_ITSELF:
        yield _hash(text)


def _keys_of(task: SeedTask, other: SeedTask, source: SeedSource) -> Iterator[int]:
    for key in other.enabled_subtasks():
        spec = other.resolve(key)
        try:
            if not _has(source, spec):
                continue
        except SeedSourceError as error:
            raise SeedSourceError(
                f"{task.task} overlaps {other.task}, whose seeds cannot be read: {error}. Or "
                f"switch {other.task} off in the catalog (enabled: false)"
            ) from error
        mapper = mapper_of(spec)
        for row in source.rows(spec, spec.split):
            try:
                yield from (key for fields in mapper(row) for key in row_keys(fields))
            except MappingError:
                continue  # the other task rejects this row, too


def _has(source: SeedSource, spec: SubtaskSpec) -> bool:
    try:
        return spec.split in source.splits(spec)
    except AbsentError:
        return False


def _bare(text: str) -> str:
    return _IGNORED.sub("", unicodedata.normalize("NFKC", text).casefold())


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
