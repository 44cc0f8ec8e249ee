"""Signatures of many rows as one table, and the Parquet file that is stored with a partition."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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

ATTACHMENT = "signatures.parquet"
FORMAT = "1"
"""Raised with anything that changes a row's signature: normalization, shingles, permutations."""
STANDING = ("vote_share", "judge_score", "id", "origin", "partition", "place")
"""What decides which of two copies stays: the larger of `BEST_FIRST`, the smaller of the rest."""
BEST_FIRST = ("vote_share", "judge_score")
_FORMAT_KEY = b"signature_format"


@dataclass(frozen=True)
class Signatures:
    """One signature a row; no text.

    Attributes:
        frame: Columns `id`: String; `vote_share`, `judge_score`: Float32, 0 where there is none;
            `origin`, a hash of the completion the row was read from, `exact` and `key`, as
            `Shingled` says: Int64, bit for bit, for Spark has no unsigned ones; `weak`: UInt8.
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
        """Some of the rows, in the order named."""
        return Signatures(
            self.frame[places], self.bands[places], self.parts[places], self.present[places]
        )

    def to_parquet(self, partition: str) -> bytes:
        """The file's content, the same for the same rows.

        Args:
            partition: Whose rows these are. Stands in every line, as does the row's place, so that
                files may be read together.
        """
        import pyarrow as pa
        import pyarrow.parquet

        table = self.frame.to_arrow()
        table = table.append_column("partition", pa.array([partition] * len(self), pa.string()))
        table = table.append_column("place", pa.array(np.arange(len(self), dtype=np.uint32)))
        for name in _MATRICES:
            table = table.append_column(name, _binary(getattr(self, name)))
        table = table.replace_schema_metadata({_FORMAT_KEY: FORMAT.encode()})
        out = io.BytesIO()
        pyarrow.parquet.write_table(
            table, out, compression="zstd", use_dictionary=["partition", "weak"]
        )
        return out.getvalue()

    @classmethod
    def from_parquet(cls, content: bytes, name: str) -> Signatures:
        """Reads what `to_parquet` wrote.

        Args:
            content: The file's content.
            name: What to call it in errors.

        Raises:
            StoreError: Made by a version whose signatures are not comparable with these.
        """
        import polars as pl
        import pyarrow as pa
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(pa.BufferReader(content))
        check_format(table.schema.metadata, name)
        frame = pl.from_arrow(table.drop_columns(["partition", "place", *_MATRICES]))
        assert isinstance(frame, pl.DataFrame)
        bands, parts, present = (_matrix(table[name]) for name in _MATRICES)
        return cls(
            frame,
            bands.view(np.uint32),
            parts.reshape(-1, len(PARTS), PERMUTATIONS),
            present,
        )


_MATRICES = ("bands", "parts", "present")


def check_format(metadata: dict[bytes, bytes] | None, name: str) -> None:
    """Refuses a file of another format.

    Args:
        metadata: Of the file's schema.
        name: What to call it.

    Raises:
        StoreError: It is of another format.
    """
    found = (metadata or {}).get(_FORMAT_KEY, b"none").decode()
    if found != FORMAT:
        raise StoreError(
            f"{name}: signatures of format {found}, this version compares format {FORMAT}; "
            "materialize the partition's `filtered` again"
        )


def sign(
    rows: Sequence[Example], frame: NDArray[np.uint64], cut: Shingled | None = None
) -> Signatures:
    """Signs rows.

    Args:
        rows: The rows.
        frame: Of their task, as `boilerplate_of` makes it.
        cut: What `shingled` makes of the rows, where that is known already.
    """
    import polars as pl

    cut = cut or shingled(rows)

    solved = [row if isinstance(row, EnrichedExample) else None for row in rows]
    columns = {
        "id": pl.Series([row.id for row in rows], dtype=pl.String),
        "vote_share": pl.Series([r.vote_share if r else 0 for r in solved], dtype=pl.Float32),
        "judge_score": pl.Series(
            [r.judge.score if r and r.judge else 0 for r in solved], dtype=pl.Float32
        ),
        "origin": hashed(r.completion_id if r else "" for r in solved).view(np.int64),
        "exact": cut.exact.view(np.int64),
        "key": cut.keys.view(np.int64),
        "weak": cut.weak,
    }
    return Signatures(pl.DataFrame(columns), *minhash(cut, frame))


def concatenated(batches: Iterable[Signatures]) -> Signatures:
    """Batches as one table."""
    import polars as pl

    found = [sign([], np.empty(0, np.uint64)), *batches]
    return Signatures(
        pl.concat([batch.frame for batch in found]),
        np.concatenate([batch.bands for batch in found]),
        np.concatenate([batch.parts for batch in found]),
        np.concatenate([batch.present for batch in found]),
    )


def by_standing(frame: pl.DataFrame) -> Indices:
    """The rows' places, best row first.

    Args:
        frame: Columns `STANDING`, or those of them that it has.
    """
    import polars as pl

    # Two integers a row decide nearly always. Sorting by all columns takes polars ten times as
    # long, and more than that the more rows share their votes; so it sorts what is tied.
    quality, prefix = _quality(frame), _prefix(frame["id"])
    order: Indices = np.lexsort((prefix, quality))
    same = (np.diff(quality[order]) == 0) & (np.diff(prefix[order]) == 0)
    tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
    columns = [name for name in STANDING if name in frame.columns]
    descending = [name in BEST_FIRST for name in columns]
    rows = frame[order[tied]].select(pl.arg_sort_by(columns, descending=descending))
    order[tied] = order[tied][rows.to_series().to_numpy()]
    return order


def _quality(frame: pl.DataFrame) -> NDArray[np.uint64]:
    """`BEST_FIRST` as one number, smaller for a better row."""
    # The bits of floats from 0 on are in the order of the floats.
    votes, judge = (frame[name].to_numpy().astype(np.float32) + 0 for name in BEST_FIRST)
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


def _matrix(column: object) -> NDArray[np.uint8]:
    array = column.combine_chunks()  # type: ignore[attr-defined]
    width = array.type.byte_width
    flat = np.frombuffer(array.buffers()[1], np.uint8) if len(array) else np.empty(0, np.uint8)
    start = array.offset * width
    return flat[start : start + len(array) * width].reshape(-1, width)
