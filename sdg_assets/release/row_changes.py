"""The rows that two releases do not share, counted by task and by reason."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from sdg_assets.release.card import FAMILIES
from sdg_assets.release.shards import read_shards
from sdg_assets.store.places import Place, listing

if TYPE_CHECKING:
    import polars as pl

Kind = Literal["added", "gone", "changed"]
REJECTED = "rejected"
MAKING = ("writer", "prompt_version")
"""What makes the rows of a subtask others than before."""
PARTS = {
    "licence": ("license", "commercial_use", "not_commercial"),
    "answer": ("answer", "written_answer", "aliases"),
    "votes": ("solver", "votes", "outcome"),
    "judge": ("judge",),
    "texts": ("reasoning", "knowledge", "passages", "enrichments", "text"),
}
"""Part of a row → its columns. A changed row counts under the first part that differs."""


@dataclass(frozen=True)
class RowChange:
    """Rows of a task that changed for one reason."""

    task: str
    change: Kind
    reason: str
    rows: int


def row_changes(before: Place, after: Place) -> list[RowChange]:
    """Compares the rows of two releases by their ids.

    Args:
        before: The older release's directory or prefix.
        after: The newer one's.

    Returns:
        The changes, by task; the most frequent first.
    """
    old, new = _read(before), _read(after)
    counts: Counter[tuple[str, Kind, str]] = Counter()
    for key in old.rows.keys() - new.rows.keys():
        row = old.rows[key]
        counts[row["task"], "gone", _why(row, new, key, "refused before the release")] += 1
    for key in new.rows.keys() - old.rows.keys():
        row = new.rows[key]
        counts[row["task"], "added", _why(row, old, key, "not there before", absent="new ")] += 1
    for key in old.rows.keys() & new.rows.keys():
        if part := _changed_part(old.rows[key], new.rows[key]):
            counts[new.rows[key]["task"], "changed", part] += 1
    changes = [RowChange(*what, rows) for what, rows in counts.items()]
    return sorted(changes, key=lambda c: (c.task, c.change, -c.rows, c.reason))


@dataclass
class _Rows:
    """What is compared of a release: its rows and refusals by id."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Id of a row that the release itself refused → "gate: reason"."""
    made_by: dict[str, set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    """Subtask → (writer, prompt version) of its rows."""


def _read(release: Place) -> _Rows:
    read = _Rows()
    for row in _parquet_rows(release):
        read.rows[row["id"]] = row
        read.made_by[row["subtask"]].add(tuple(row[name] for name in MAKING))
    for line in _lines(release):
        refused = json.loads(line)
        read.refused[refused["row"].get("id", "")] = f"{refused['gate']}: {refused['reason']}"
    return read


def _why(
    row: dict[str, Any], other: _Rows, key: str, otherwise: str, *, absent: str = "no more "
) -> str:
    """Why the other release does not have this row."""
    if key in other.refused:
        return other.refused[key]
    made_by = other.made_by.get(row["subtask"])
    if not made_by:
        return f"{absent}subtask"
    for name, made in zip(MAKING, zip(*made_by, strict=True), strict=True):
        if row[name] not in made:
            return f"another {name.replace('_', ' ')}: {', '.join(sorted(set(made)))}"
    return otherwise


def _changed_part(old: dict[str, Any], new: dict[str, Any]) -> str:
    for part in PARTS:
        if old[part] != new[part]:
            return part
    return ""


def _parquet_rows(release: Place) -> Iterator[dict[str, Any]]:
    """The rows with ids, what made them, and a hash of each of `PARTS`: a few bytes a row."""
    import polars as pl

    for frame in chain.from_iterable(read_shards(release, family) for family in FAMILIES):
        yield from frame.select(
            "id",
            "task",
            "subtask",
            "prompt_version",
            writer=pl.format("{} {}", *_of_struct("teacher", "model", "revision")),
            **{part: _hash(frame, columns) for part, columns in PARTS.items()},
        ).iter_rows(named=True)


def _of_struct(column: str, *names: str) -> list[pl.Expr]:
    import polars as pl

    return [pl.col(column).struct.field(name) for name in names]


def _hash(frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.Series:
    return frame.select(columns).hash_rows(seed=0)


def _lines(release: Place) -> Iterator[bytes]:
    for name in sorted(file.name for file in listing(release)):
        if name.startswith(f"{REJECTED}/"):
            yield from (release / name).read_bytes().splitlines()
