"""The result of a search over many partitions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdg_assets.records import Refusal
from sdg_assets.signatures.refusals import verdict

if TYPE_CHECKING:
    import polars as pl

    from sdg_assets.signatures.pairs import Copies


@dataclass(frozen=True)
class CopiesOfKind:
    """Duplicates of one kind, exact or near.

    Attributes:
        reason: `EXACT` or `NEAR`.
        rows: Columns `id`, `partition` (number), `place`.
        copies: The duplicates; their numbers are positions in `rows`.
    """

    reason: str
    rows: pl.DataFrame
    copies: Copies


@dataclass(frozen=True)
class Verdicts:
    """The duplicates among the rows of all partitions.

    Attributes:
        frame: One line per refused row, by partition and place: `partition`: String; `place`:
            UInt32, the row's position in its file, from 0; `reason`: String; `similarity`: Float32;
            `original`: String, the id of the row that it duplicates; `original_partition`: String.
    """

    frame: pl.DataFrame

    @classmethod
    def of(cls, names: Sequence[str], kinds: Sequence[CopiesOfKind]) -> Verdicts:
        """Makes the lines for the results of a search.

        Args:
            names: The names of the partitions, by number.
            kinds: The duplicates, by reason.
        """
        import polars as pl

        schema = {
            "partition": pl.Int64,
            "place": pl.UInt32,
            "reason": pl.String,
            "similarity": pl.Float32,
            "original": pl.String,
            "original_partition": pl.Int64,
        }
        lines = [
            pl.DataFrame(
                {
                    "partition": kind.rows["partition"][kind.copies.rows],
                    "place": kind.rows["place"][kind.copies.rows],
                    "reason": pl.repeat(kind.reason, len(kind.copies.rows), eager=True),
                    "similarity": kind.copies.similarities,
                    "original": kind.rows["id"][kind.copies.originals],
                    "original_partition": kind.rows["partition"][kind.copies.originals],
                },
                schema_overrides=schema,
            )
            for kind in kinds
        ]
        frame = pl.concat([pl.DataFrame(schema=schema), *lines]).sort("partition", "place")
        named = pl.Series(names, dtype=pl.String)
        return cls(
            frame.with_columns(
                named.gather(frame[column]).alias(column)
                for column in ("partition", "original_partition")
            )
        )

    def __len__(self) -> int:
        return len(self.frame)

    def refusals(self, partition: str) -> Mapping[int, Refusal]:
        """The refusals of a partition's duplicates, by row position.

        Args:
            partition: Its name in the search.
        """
        import polars as pl

        return _Refusals(self.frame.filter(pl.col("partition") == partition))


class _Refusals(Mapping[int, Refusal]):
    """The refusals of a partition. They are made one by one: as objects they take 0.5 KB each."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame
        self._places = frame["place"].to_numpy().data

    def __getitem__(self, place: int) -> Refusal:
        index = bisect_left(self._places, place)
        if index == len(self._places) or self._places[index] != place:
            raise KeyError(place)
        row = self._frame.row(index, named=True)
        original, home = row["original"], row["original_partition"]
        detail = original if home == row["partition"] else f"{original} of {home}"
        return verdict(row["reason"], detail, row["similarity"])

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
