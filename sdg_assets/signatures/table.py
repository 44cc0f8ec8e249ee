"""Signatures of many rows as one table, and the Parquet file that is stored with a partition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sdg_assets.errors import StoreError
from sdg_assets.records import EnrichedExample, Example
from sdg_assets.signatures.minhash import minhash
from sdg_assets.signatures.pairs import Indices
from sdg_assets.signatures.primitives import PERMUTATIONS
from sdg_assets.signatures.shingles import PARTS, Shingled, hashed, shingled

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

ATTACHMENT = "signatures.parquet"
FORMAT = "1"
"""Increased with every change of rows' signatures: of folding, shingles or permutations."""
RANK_COLUMNS = ("vote_share", "judge_score", "id", "origin", "partition", "place")
"""The columns that rank rows; of two duplicates, the row with the higher rank stays."""
LARGER_IS_BETTER = ("vote_share", "judge_score")
"""The rank columns in which the larger value is better; in the others, the smaller one is."""
ROWS_PER_GROUP = 1 << 16
"""Rows that are encoded, and later decoded, at a time: 20 MB."""
_FORMAT_KEY = b"signature_format"


@dataclass(frozen=True)
class Signatures:
    """One signature per row, without text.

    Attributes:
        frame: Columns `id`: String; `vote_share`, `judge_score`: Float32, 0 if a row has none;
            `origin` (a hash of the row's completion), `exact` and `key` (see `Shingled`): Int64
            with the bits of the unsigned hash, because Spark has no unsigned integers; `weak`:
            UInt8.
        bands: [rows, bands], uint32.
        parts: [rows, parts, permutations], uint8.
        present: [rows, parts], uint8.
    """

    frame: pl.DataFrame
    bands: NDArray[np.uint32]
    parts: NDArray[np.uint8]
    present: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, places: NDArray[np.int64]) -> Signatures:
        """The rows at these positions, in this order."""
        return Signatures(
            self.frame[places], self.bands[places], self.parts[places], self.present[places]
        )

    def write_parquet(self, partition: str, file: IO[bytes]) -> None:
        """Writes the file that is stored with a partition; equal rows give equal bytes.

        Args:
            partition: The rows' partition. It is stored in every line, like the row's position, so
                that several files can be read together.
            file: Where to write it, `ROWS_PER_GROUP` rows at a time: two million rows, encoded at
                once, take 2 GB.
        """
        import pyarrow.parquet

        options = {"compression": "zstd", "use_dictionary": ["partition", "weak"]}
        schema = self._table(partition, 0, 0).schema
        with pyarrow.parquet.ParquetWriter(file, schema, **options) as out:
            for start in range(0, len(self), ROWS_PER_GROUP):
                end = min(start + ROWS_PER_GROUP, len(self))
                out.write_table(self._table(partition, start, end))

    @classmethod
    def batches(cls, file: IO[bytes], name: str) -> Iterator[Signatures]:
        """Reads the file that `write_parquet` wrote, `ROWS_PER_GROUP` rows at a time.

        Args:
            file: The open file.
            name: The file's name in errors.

        Raises:
            StoreError: The file was made by a version with incompatible signatures.
        """
        import polars as pl
        import pyarrow.parquet

        stored = pyarrow.parquet.ParquetFile(file)
        check_format(stored.schema_arrow.metadata, name)
        for batch in stored.iter_batches(ROWS_PER_GROUP):
            frame = pl.from_arrow(batch.drop_columns(["partition", "place", *_MATRICES]))
            assert isinstance(frame, pl.DataFrame)
            bands, parts, present = (_matrix(batch[name]) for name in _MATRICES)
            yield cls(
                frame,
                bands.view(np.uint32),
                parts.reshape(-1, len(PARTS), PERMUTATIONS),
                present,
            )

    def _table(self, partition: str, start: int, end: int) -> pa.Table:
        """Some of the rows as they are stored."""
        import pyarrow as pa

        table = self.frame[start:end].to_arrow()
        table = table.append_column("partition", pa.array([partition] * (end - start), pa.string()))
        table = table.append_column("place", pa.array(np.arange(start, end, dtype=np.uint32)))
        for name in _MATRICES:
            table = table.append_column(name, _binary(getattr(self, name)[start:end]))
        return table.replace_schema_metadata({_FORMAT_KEY: FORMAT.encode()})


_MATRICES = ("bands", "parts", "present")


def check_format(metadata: dict[bytes, bytes] | None, name: str) -> None:
    """Checks that a file has this version's format.

    Args:
        metadata: The metadata of the file's schema.
        name: The file's name in errors.

    Raises:
        StoreError: The file has another format.
    """
    file_format = (metadata or {}).get(_FORMAT_KEY, b"none").decode()
    if file_format != FORMAT:
        raise StoreError(
            f"{name}: signatures of format {file_format}, this version compares format {FORMAT}; "
            "materialize the partition's `filtered` again"
        )


def sign(
    rows: Sequence[Example], boilerplate: NDArray[np.uint64], hashes: Shingled | None = None
) -> Signatures:
    """Signs rows.

    Args:
        rows: The rows.
        boilerplate: The boilerplate of their task, from `boilerplate_of`.
        hashes: The result of `shingled` for these rows, if it was computed before.
    """
    import polars as pl

    hashes = hashes or shingled(rows)
    solved = [row if isinstance(row, EnrichedExample) else None for row in rows]
    columns = {
        "id": pl.Series([row.id for row in rows], dtype=pl.String),
        "vote_share": pl.Series([r.vote_share if r else 0 for r in solved], dtype=pl.Float32),
        "judge_score": pl.Series(
            [r.judge.score if r and r.judge else 0 for r in solved], dtype=pl.Float32
        ),
        "origin": hashed(r.completion_id if r else "" for r in solved).view(np.int64),
        "exact": hashes.exact.view(np.int64),
        "key": hashes.keys.view(np.int64),
        "weak": hashes.weak,
    }
    return Signatures(pl.DataFrame(columns), *minhash(hashes, boilerplate))


def frame_of(batches: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The frames of batches as one; of no batches, one without rows."""
    import polars as pl

    return pl.concat([sign([], np.empty(0, np.uint64)).frame, *batches])


def concatenated(batches: Iterable[Signatures]) -> Signatures:
    """Concatenates batches into one table."""
    parts = [sign([], np.empty(0, np.uint64)), *batches]
    return Signatures(
        frame_of([part.frame for part in parts]),
        np.concatenate([part.bands for part in parts]),
        np.concatenate([part.parts for part in parts]),
        np.concatenate([part.present for part in parts]),
    )


def best_first(frame: pl.DataFrame) -> Indices:
    """The rows' positions, by rank: the best row first.

    Args:
        frame: Columns `RANK_COLUMNS`; some may be missing.
    """
    import polars as pl

    # Two integers per row nearly always decide. To sort by all columns takes polars ten times as
    # long, and longer still if many rows share their votes; so polars sorts only the ties.
    quality, prefix = _quality(frame), _prefix(frame["id"])
    order: Indices = np.lexsort((prefix, quality))
    same = (np.diff(quality[order]) == 0) & (np.diff(prefix[order]) == 0)
    tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    columns = [name for name in RANK_COLUMNS if name in frame.columns]
    descending = [name in LARGER_IS_BETTER for name in columns]
    rows = frame[order[tied]].select(pl.arg_sort_by(columns, descending=descending))
    order[tied] = order[tied][rows.to_series().to_numpy()]
    return order


def _quality(frame: pl.DataFrame) -> NDArray[np.uint64]:
    """The columns `LARGER_IS_BETTER` as one number, which is smaller for a better row."""
    # The bits of floats from 0 on are ordered like the floats.
    votes, judge = (frame[name].to_numpy().astype(np.float32) + 0 for name in LARGER_IS_BETTER)
    bits = votes.view(np.uint32).astype(np.uint64) << np.uint64(32) | judge.view(np.uint32)
    return np.asarray(~bits)


def _prefix(ids: pl.Series) -> NDArray[np.uint64]:
    """The first eight bytes of each id as a number."""
    import polars as pl

    heads = ids.cast(pl.Binary).bin.slice(0, 8).to_list()
    return np.array(heads, "S8").view(">u8").astype(np.uint64)


def _binary(matrix: NDArray[np.uint32] | NDArray[np.uint8]) -> object:
    import pyarrow as pa

    rows = np.ascontiguousarray(matrix).reshape(len(matrix), int(np.prod(matrix.shape[1:])))
    width = rows.shape[1] * rows.itemsize
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(rows), [None, pa.py_buffer(rows)]
    )


def _matrix(array: pa.FixedSizeBinaryArray) -> NDArray[np.uint8]:
    width = array.type.byte_width
    flat = np.frombuffer(array.buffers()[1], np.uint8) if len(array) else np.empty(0, np.uint8)
    start = array.offset * width
    return flat[start : start + len(array) * width].reshape(-1, width)
