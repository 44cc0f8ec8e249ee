"""What a search over many partitions found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdg_assets.gates.base import Refusal
from sdg_assets.gates.duplicates import verdict

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Verdicts:
    """The copies among the rows of all partitions.

    Attributes:
        frame: One line a refused row, by partition and place: `partition`: String; `place`: UInt32,
            in its file, from 0; `reason`: String; `similarity`: Float32; `original`: String, the id
            of the row that it is a copy of; `original_partition`: String.
    """

    frame: pl.DataFrame

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
