"""A row is seeded once, also where one task contains the rows of another (`overlaps:`).

Rows meet under other names, in other casings and with options in another order, so they are
compared by hashes of what is left without case, punctuation and spaces.
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

# A longer question is the same question whatever its options look like; a shorter one
# ("What is the best title?") is only together with them.
_SPEAKS_FOR_ITSELF = 40
_NO_CONTENT = [c for c in map(chr, range(0x10000)) if unicodedata.category(c)[0] in "PZC"]
_IGNORED = re.compile(f"[{re.escape(''.join(_NO_CONTENT))}]+")


class SeededElsewhere:
    """The rows that other tasks seed; called with an example, it names the task that has it."""

    def __init__(self, keys: Iterable[tuple[str, Iterable[int]]]) -> None:
        """Takes the keys of each task, as `row_keys` makes them."""
        # Sorted 8-byte integers: a tenth of a set's memory, and half a million rows are common.
        self._keys = {task: array("Q", sorted(set(found))) for task, found in keys}

    def __call__(self, example: Example | Content) -> str | None:
        """The task that seeds this row, if one does."""
        for key in row_keys(example):
            for task, keys in self._keys.items():
                at = bisect_left(keys, key)
                if at < len(keys) and keys[at] == key:
                    return task
        return None


def seeded_elsewhere(task: SeedTask, catalog: Catalog, source: SeedSource) -> SeededElsewhere:
    """The seed rows of the tasks that this one overlaps.

    Args:
        task: A task with `overlaps`.
        catalog: Where they are defined; those that are switched off seed nothing.
        source: Where their rows are read; a split that it has not cannot be seeded twice either.

    Returns:
        What names the task that seeds a row.

    Raises:
        SeedSourceError: Rows of an overlapped task are there and not open to us: once they are,
            they would be seeded twice.
    """
    others = (catalog.task(name) for name in task.overlaps)
    return SeededElsewhere((other.task, _keys_of(task, other, source)) for other in others)


def row_keys(row: Example | Content) -> Iterator[int]:
    """The hashes that a row is recognised by, surest first."""
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
                f"{task.task} overlaps {other.task}, and what is seeded there cannot be told: "
                f"{error}. Or switch {other.task} off in the catalog (enabled: false)"
            ) from error
        mapper = mapper_of(spec)
        for row in source.rows(spec, spec.split):
            try:
                yield from (key for fields in mapper(row) for key in row_keys(fields))
            except MappingError:
                continue  # rejected where it is seeded, too


def _has(source: SeedSource, spec: SubtaskSpec) -> bool:
    try:
        return spec.split in source.splits(spec)
    except AbsentError:
        return False


def _bare(text: str) -> str:
    return _IGNORED.sub("", unicodedata.normalize("NFKC", text).casefold())


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
