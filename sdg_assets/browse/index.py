"""The columns and words of a table's rows, made at the first opening and kept in a cache.

JSON lines cannot be filtered quickly: reading 500,000 of them takes seconds. So a table is read
once, in pieces, and two things are kept in a directory of the cache: its columns (about 70 bytes a
row, an array a file) and the index of its words. Both are mapped into memory, not read: opening
takes no time, and a column that no page needs takes no memory. A version's rows never change, so
neither does its index.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from sdg_assets.browse.columns import (
    ACCEPTED,
    CATEGORIES,
    accepted_frame,
    categories,
    measures,
    refused_frame,
    text_of,
)
from sdg_assets.browse.tables import Part, Table
from sdg_assets.browse.words import Rows, Words, WordsWriter, release
from sdg_assets.errors import StoreError
from sdg_assets.records import content_id
from sdg_assets.store.disk import clear_errors

if TYPE_CHECKING:
    import polars as pl

LAYOUT = 6
"""Raised when the columns, or how words are found, change."""
VALUES = "values.json"
"""Written last: an index without it is not whole."""
PIECE_BYTES = 8 << 20
LONGEST_VALUE = 300
MOST_VALUES = 1 << 16
UNUSED_DAYS = 30
OTHER = "(other)"
HASH_SEED = 11


@dataclass(frozen=True)
class Index:
    """A table's rows as columns.

    Attributes:
        table: The table.
        columns: Row by row: a code for each category, each measure (NaN where a row has none), a
            hash of the id of its `anchor` (the seed that it imitates), and the place of its line
            (`part`, `start`, `size`).
        values: Category → the text of each code.
        counts: Category → rows of the whole table by code.
        words: Which rows hold which word.
    """

    table: Table
    columns: Mapping[str, npt.NDArray[Any]]
    values: Mapping[str, Sequence[str]]
    counts: Mapping[str, npt.NDArray[np.intp]]
    words: Words
    _orders: dict[str, Rows] = field(default_factory=dict, repr=False, compare=False)

    def release(self) -> None:
        """Lets go of the pages in memory: 4.5 million rows have 340 MB of columns."""
        release(self.columns.values())
        self.words.release()

    def order(self, measure: str) -> Rows:
        """All rows by a measure, ascending, those without it last."""
        if measure not in self._orders:
            order = np.argsort(self.columns[measure], kind="stable")  # NaN comes last
            self._orders[measure] = order.astype(np.uint32)
        return self._orders[measure]

    def code(self, category: str, text: str) -> int | None:
        """The code of a category's text; None if no row has it."""
        try:
            return self.values[category].index(text)
        except ValueError:
            return None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.columns["part"])

    def rows_after(self, seed_id: str) -> list[int]:
        """Numbers of the rows that imitate a seed."""
        return [
            int(n) for n in np.flatnonzero(self.columns["anchor"] == np.uint64(hash_of(seed_id)))
        ]


def hash_of(row_id: str) -> int:
    """The hash by which an id stands in the columns."""
    import polars as pl

    return int(pl.Series([row_id]).hash(HASH_SEED)[0])


def opened(table: Table, cache: Path) -> Index | None:
    """The index of a table from the cache; None if it has not been made yet."""
    folder = _folder(table, cache)
    if not (folder / VALUES).exists():
        return None
    os.utime(folder)
    return _read(table, folder)


def made(table: Table, cache: Path, progress: Callable[[int], None]) -> Index:
    """Reads a table and makes its index.

    Args:
        table: The table.
        cache: The directory of all indexes.
        progress: Called with the number of rows that were read.

    Raises:
        StoreError: A file is missing, damaged or not what was published, or the cache is full.
    """
    folder = _folder(table, cache)
    draft = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        with clear_errors(str(cache), "SDG_CACHE"):
            cache.mkdir(parents=True, exist_ok=True)
            clear_unused(cache)
            _make(table, draft, progress)
            if folder.exists():  # another process was faster
                shutil.rmtree(draft)
            else:
                draft.rename(folder)
    except FileNotFoundError as error:
        raise StoreError(f"{table.name}: a file of this version is gone; reload") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return _read(table, folder)


def clear_unused(cache: Path) -> None:
    """Deletes indexes that nobody opened for `UNUSED_DAYS`."""
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for folder in cache.iterdir():
        if folder.is_dir() and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass
class _Codes:
    """Texts of categories as 16-bit codes."""

    codes: dict[str, dict[str, int]] = field(
        default_factory=lambda: {name: {"": 0} for name in CATEGORIES}
    )

    def encoded(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        columns = []
        for name in CATEGORIES:
            texts, codes = frame[name].str.slice(0, LONGEST_VALUE), self.codes[name]
            different = texts.unique().to_list()
            for text in different:
                full = len(codes) >= MOST_VALUES - 1
                codes.setdefault(text, codes.setdefault(OTHER, len(codes)) if full else len(codes))
            of = [codes[text] for text in different]
            encoded = texts.replace_strict(different, of, return_dtype=pl.UInt16)
            columns.append(encoded.cast(pl.UInt16))  # an empty column stays text
        return pl.DataFrame(columns)

    def values(self) -> dict[str, list[str]]:
        """Category → texts in the order of their codes."""
        return {name: _in_order(codes) for name, codes in self.codes.items()}


def _in_order(codes: dict[str, int]) -> list[str]:
    texts: dict[int, str] = {}
    for text, code in codes.items():
        texts.setdefault(code, text)
    return [texts[code] for code in sorted(texts)]


def _make(table: Table, draft: Path, progress: Callable[[int], None]) -> None:
    import polars as pl

    draft.mkdir()
    words, codes, rows = WordsWriter(draft / "words"), _Codes(), 0
    columns = _ColumnFiles(draft, table.rows)
    for number, part in enumerate(table.parts):
        to_frame = accepted_frame if part.state == ACCEPTED else refused_frame
        for start, lines in _pieces(part, table):
            try:
                frame = to_frame(lines)
            except pl.exceptions.PolarsError as error:
                raise StoreError(f"{part.place}: a line after byte {start} is not JSON") from error
            places = _places(lines, start)
            if places.height != frame.height:
                raise StoreError(f"{part.place}: has empty or broken lines after byte {start}")
            anchor = pl.col("seed_ids").list.first().fill_null("").hash(HASH_SEED)
            in_part = pl.Series("part", [number], pl.UInt16).new_from_index(0, frame.height)
            encoded = codes.encoded(categories(frame))
            parts = [encoded, measures(frame), frame.select(anchor.alias("anchor")), places]
            columns.add(pl.concat(parts, how="horizontal").with_columns(in_part))
            words.add(frame.select(text_of().alias("text")).to_series())
            rows += frame.height
            progress(rows)
    words.close()
    if not rows:
        columns.add(_no_columns())
    columns.close()
    if rows != table.rows:
        raise StoreError(f"{table.name}: {rows} rows, but {table.rows} were published")
    counted = {
        name: [values, np.bincount(_column(draft, name), minlength=len(values)).tolist()]
        for name, values in codes.values().items()
    }
    (draft / VALUES).write_text(json.dumps(counted), "utf-8")


class _ColumnFiles:
    """Writes columns piece by piece: those of 4.5 million rows take 300 MB."""

    def __init__(self, folder: Path, rows: int) -> None:
        """Creates the files with the first piece.

        Args:
            folder: Where the files are written.
            rows: Rows of all pieces together.
        """
        self._folder, self._rows = folder, rows
        self._files: dict[str, BinaryIO] = {}

    def add(self, frame: pl.DataFrame) -> None:
        """Writes the next rows of each column."""
        for column in frame:
            array = column.to_numpy()
            if column.name not in self._files:
                self._files[column.name] = file = _file(self._folder, column.name).open("wb")
                header = {"descr": array.dtype.str, "fortran_order": False, "shape": (self._rows,)}
                np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
            self._files[column.name].write(array.tobytes())

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def _file(folder: Path, column: str) -> Path:
    return folder / f"{column}.npy"


def _column(folder: Path, name: str) -> npt.NDArray[Any]:
    column: npt.NDArray[Any] = np.load(_file(folder, name), mmap_mode="r")
    return column


def _pieces(part: Part, table: Table) -> Iterator[tuple[int, bytes]]:
    """Whole lines of a file in pieces, each with its offset; verified at the end.

    Raises:
        StoreError: The content differs from the published content.
    """
    digest, start, rest = hashlib.sha256(), 0, b""
    with part.place.open("rb") as file:
        while data := file.read(PIECE_BYTES):
            digest.update(data)
            lines, newline, after = (rest + data).rpartition(b"\n")
            if newline:
                yield start, lines + newline
                start += len(lines) + 1
            rest = after
    if rest or digest.hexdigest() != part.sha256:
        raise StoreError(f"{part.place}: not what was published; materialize {table.name} again")


def _places(lines: bytes, offset: int) -> pl.DataFrame:
    """Start and size of each line."""
    import polars as pl

    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]])
    return pl.DataFrame(
        {
            "start": pl.Series(starts + offset, dtype=pl.UInt64),
            "size": pl.Series(ends - starts, dtype=pl.UInt32),
        }
    )


def _read(table: Table, folder: Path) -> Index:
    counted = json.loads((folder / VALUES).read_text("utf-8"))
    values = {name: texts for name, (texts, _) in counted.items()}
    counts = {name: np.array(rows, np.intp) for name, (_, rows) in counted.items()}
    columns = {file.stem: _column(folder, file.stem) for file in folder.glob("*.npy")}
    return Index(table, columns, values, counts, Words(folder / "words"))


def _no_columns() -> pl.DataFrame:
    import polars as pl

    empty = accepted_frame(b"")
    hashed = {name: pl.UInt64() for name in ("anchor", "start")}
    return pl.concat(
        [
            _Codes().encoded(categories(empty)),
            measures(empty),
            pl.DataFrame(schema={**hashed, "size": pl.UInt32(), "part": pl.UInt16()}),
        ],
        how="horizontal",
    )


def _folder(table: Table, cache: Path) -> Path:
    """The directory of a table's index; the hash of a text may differ between polars versions."""
    import polars as pl

    places = [(str(part.place), part.sha256) for part in table.parts]
    return cache / content_id(LAYOUT, pl.__version__, table.name, table.version, places)
