"""The rows that two releases do not share, counted by task and by reason.

Of each row about 70 bytes are in memory: a hash of its id, what made it, and a hash of each of its
parts. Ten million rows on each side take 1.4 GB.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from sdg_assets.release.configs import FAMILIES
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
    "origin": ("teacher", "written_by", "source", "seed_ids"),
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
    """Compares the rows of two releases by their ids, in the columns that both have.

    Args:
        before: The older release's directory or prefix.
        after: The newer one's.

    Returns:
        The changes, by task; the most frequent first.
    """
    columns = _columns(before) & _columns(after)
    old, new = _Rows.read(before, columns), _Rows.read(after, columns)
    counts: Counter[tuple[str, Kind, str]] = Counter()
    for group in old.without(new):
        reason = _why(group, new, "now", "refused before the release", "no more subtask")
        counts[group["task"], "gone", reason] += group["len"]
    for group in new.without(old):
        reason = _why(group, old, "before", "not there before", "new subtask")
        counts[group["task"], "added", reason] += group["len"]
    for group in _changed(old.rows, new.rows):
        counts[group["task"], "changed", group["part"]] += group["len"]
    changes = [RowChange(*what, rows) for what, rows in counts.items()]
    return sorted(changes, key=lambda c: (c.task, c.change, -c.rows, c.reason))


@dataclass(frozen=True)
class _Rows:
    """What is compared of a release."""

    rows: pl.DataFrame
    """Hash of the id, task, subtask, `MAKING`, and a hash of each of `PARTS`."""
    refused: pl.DataFrame
    """Hash of the id of a row that the release itself refused, and "gate: reason"."""
    made_by: Mapping[str, list[tuple[str, ...]]]
    """Subtask → (writer, prompt version) of its rows."""

    @classmethod
    def read(cls, release: Place, columns: set[str]) -> _Rows:
        import polars as pl

        rows = pl.concat([_schema(), *_compact(release, columns)])
        made_by: dict[str, list[tuple[str, ...]]] = {}
        for subtask, *making in rows.select("subtask", *MAKING).unique().iter_rows():
            made_by.setdefault(subtask, []).append(tuple(making))
        lines = map(json.loads, _lines(release))
        refused = [(r["row"].get("id", ""), f"{r['gate']}: {r['reason']}") for r in lines]
        schema = {"id": pl.String(), "refusal": pl.String()}
        refusals = pl.DataFrame(refused, schema, orient="row").with_columns(_key())
        return cls(rows, refusals.unique("id", keep="last"), made_by)

    def without(self, other: _Rows) -> Iterable[dict[str, Any]]:
        """The rows that the other release does not have, grouped by what may be the reason."""
        missing = self.rows.join(other.rows, on="id", how="anti")
        explained = missing.join(other.refused, on="id", how="left")
        return explained.group_by("task", "subtask", *MAKING, "refusal").len().iter_rows(named=True)


def _why(group: Mapping[str, Any], other: _Rows, when: str, otherwise: str, absent: str) -> str:
    """Why the other release, the one `now` or `before`, does not have these rows."""
    if group["refusal"]:
        return str(group["refusal"])
    made_by = other.made_by.get(group["subtask"])
    if not made_by:
        return absent
    for name, made in zip(MAKING, zip(*made_by, strict=True), strict=True):
        if group[name] not in made:
            return f"another {name.replace('_', ' ')} {when}: {', '.join(sorted(set(made)))}"
    return otherwise


def _changed(old: pl.DataFrame, new: pl.DataFrame) -> Iterable[dict[str, Any]]:
    """The rows that both releases have, by task and the first part that differs."""
    import polars as pl

    both = new.join(old.select("id", *PARTS), on="id", suffix="_before")
    differing = [
        pl.when(pl.col(part) != pl.col(f"{part}_before")).then(pl.lit(part)) for part in PARTS
    ]
    parts = both.select("task", part=pl.coalesce(differing)).drop_nulls()
    return parts.group_by("task", "part").len().iter_rows(named=True)


def _compact(release: Place, columns: set[str]) -> Iterator[pl.DataFrame]:
    import polars as pl

    texts = pl.col("task", "subtask", "prompt_version").cast(pl.Categorical())
    for frame in chain.from_iterable(read_shards(release, family) for family in FAMILIES):
        model, revision = (pl.col("teacher").struct.field(name) for name in ("model", "revision"))
        yield frame.select(
            _key(),
            texts,
            pl.format("{} {}", model, revision).cast(pl.Categorical()).alias("writer"),
            *(
                frame.select(c for c in names if c in columns).hash_rows(seed=0).alias(part)
                if columns.intersection(names)
                else pl.lit(0, pl.UInt64()).alias(part)
                for part, names in PARTS.items()
            ),
        )


def _schema() -> pl.DataFrame:
    """No rows, with the columns of `_compact`."""
    import polars as pl

    names = ("task", "subtask", "prompt_version", "writer")
    schema = {"id": pl.UInt64(), **dict.fromkeys(names, pl.Categorical())}
    return pl.DataFrame(schema=schema | dict.fromkeys(PARTS, pl.UInt64()))


def _key() -> pl.Expr:
    """A hash of the id: two of ten million rows share one with a chance of 1 in 300,000."""
    import polars as pl

    return pl.col("id").hash(seed=0)


def _columns(release: Place) -> set[str]:
    """The columns of a release's rows, which its first shard tells."""
    import polars as pl

    for name in sorted(file.name for file in listing(release)):
        if name.split("/")[0] in FAMILIES and name.endswith(".parquet"):
            return set(pl.read_parquet_schema(io.BytesIO((release / name).read_bytes())))
    return set()


def _lines(release: Place) -> Iterator[bytes]:
    for name in sorted(file.name for file in listing(release)):
        if name.startswith(f"{REJECTED}/"):
            yield from (release / name).read_bytes().splitlines()
