"""What a search over many partitions found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdg_assets.records import Refusal
from sdg_assets.signatures.refusals import verdict

if TYPE_CHECKING:
    import polars as pl

    from sdg_assets.signatures.pairs import Copies


@dataclass(frozen=True)
class Found:
    """Copies of one kind.

    Attributes:
        reason: `EXACT` or `NEAR`.
        rows: Columns `id`, `partition` (number), `place`; the copies' numbers are lines of it.
        copies: What was found.
    """

    reason: str
    rows: pl.DataFrame
    copies: Copies


@dataclass(frozen=True)
class Verdicts:
    """The copies among the rows of all partitions.

    Attributes:
        frame: One line a refused row, by partition and place: `partition`: String; `place`: UInt32,
            in its file, from 0; `reason`: String; `similarity`: Float32; `original`: String, the id
            of the row that it is a copy of; `original_partition`: String.
    """

    frame: pl.DataFrame

    @classmethod
    def of(cls, names: Sequence[str], found: Sequence[Found]) -> Verdicts:
        """The lines for what a search found.

        Args:
            names: Of the partitions, by number.
            found: By reason.
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
                    "partition": some.rows["partition"][some.copies.rows],
                    "place": some.rows["place"][some.copies.rows],
                    "reason": pl.repeat(some.reason, len(some.copies.rows), eager=True),
                    "similarity": some.copies.similarities,
                    "original": some.rows["id"][some.copies.originals],
                    "original_partition": some.rows["partition"][some.copies.originals],
                },
                schema_overrides=schema,
            )
            for some in found
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

    def refusals(self, partition: str) -> dict[int, Refusal]:
        """The verdict on each copy in a partition, by its place.

        Args:
            partition: As it was named in the search.
        """
        import polars as pl

        found = {}
        for row in self.frame.filter(pl.col("partition") == partition).iter_rows(named=True):
            original, home = row["original"], row["original_partition"]
            detail = original if home == partition else f"{original} of {home}"
            found[int(row["place"])] = verdict(row["reason"], detail, row["similarity"])
        return found
