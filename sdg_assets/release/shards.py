"""Data files of a release: JSONL and Parquet side by side, in shards of bounded size."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from sdg_assets.records import CuratedExample, polars_schema
from sdg_assets.store.places import Place, listing
from sdg_assets.texts import VARIANTS

if TYPE_CHECKING:
    import polars as pl

BYTES_PER_SHARD = 256 << 20
"""Bytes of JSONL per shard (256 MiB). The Parquet file is about a third of that; any tool can
load either in one go."""


class Shards:
    """Writes lines into `<directory>/train-00000-of-00003.jsonl` and so on.

    Shards get their final names at the end, because the names contain the number of shards.
    """

    def __init__(
        self, directory: Path, *, parquet: bool = True, bytes_per_shard: int = BYTES_PER_SHARD
    ) -> None:
        """Creates no file yet, so that a family without rows gets no directory.

        Args:
            directory: The directory of the shards.
            parquet: Whether to write each shard as Parquet, too. Works for curated rows only.
            bytes_per_shard: Bytes of JSONL after which a new shard is started.
        """
        self._directory = directory
        self._parquet = parquet
        self._limit = bytes_per_shard
        self._count = 0
        self._written = 0
        self._open: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._finish()
        elif self._open:
            self._open.close()

    def add(self, line: bytes) -> None:
        """Appends a line of JSON, which must end with a line feed."""
        if self._open is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._open = self._part(self._count).open("wb")
        self._open.write(line)
        self._written += len(line)
        if self._written >= self._limit:
            self._close()

    def _close(self) -> None:
        if self._open is None:
            return
        self._open.close()
        if self._parquet:
            _to_parquet(self._part(self._count))
        self._open, self._written = None, 0
        self._count += 1

    def _finish(self) -> None:
        self._close()
        for number in range(self._count):
            part = self._part(number)
            name = f"train-{number:05}-of-{self._count:05}"
            for file in (part, part.with_suffix(".parquet")):
                if file.exists():
                    file.rename(file.with_name(f"{name}{file.suffix}"))

    def _part(self, number: int) -> Path:
        return self._directory / f"part-{number:05}.jsonl"


def curated_schema() -> dict[str, pl.DataType]:
    """The columns of a release's Parquet files. `text` is a struct with one field per variant."""
    import polars as pl

    schema = polars_schema(CuratedExample)
    schema["text"] = pl.Struct({name: pl.String() for name in VARIANTS})
    return schema


def read_shards(
    release: Place, folder: str, columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """The rows of a release's folder, a Parquet shard at a time, in order.

    Args:
        release: The release's directory or prefix.
        folder: A family's folder, e.g. `generative`. It need not exist.
        columns: The columns to read; None for all.
    """
    import polars as pl

    for name in sorted(file.name for file in listing(release)):
        if name.startswith(f"{folder}/") and name.endswith(".parquet"):
            content = io.BytesIO((release / name).read_bytes())
            yield pl.read_parquet(content, columns=list(columns) if columns else None)


def _to_parquet(jsonl: Path) -> None:
    import polars as pl

    rows = pl.scan_ndjson(jsonl, schema=curated_schema())
    rows.sink_parquet(jsonl.with_suffix(".parquet"))
