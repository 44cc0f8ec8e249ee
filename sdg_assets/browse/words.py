"""Which rows hold a word: an inverted index in blocks, read from disk without loading it.

A scan of 4.5 million rows reads 4 GB and takes seconds; the index reads the lists of the words that
are asked for. A word is a run of letters and digits, folded to lower case. Chinese, Japanese and
Thai have no spaces between words: their runs are indexed by pairs of characters. Words are known by
48 bits of a hash: of a million different words one shares the hash of a query's word in one query
of 280 million.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

ROWS_PER_BLOCK = 1 << 14
"""Rows of a block: building one takes about 150 MB, and their numbers fit into 16 bits."""
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_TOKEN = rf"[{_UNSPACED}]|[\p{{L}}\p{{M}}\p{{N}}--[{_UNSPACED}]]+"
_HASH_SEED = 7
_WORD = np.uint64(~0xFFFF & 0xFFFF_FFFF_FFFF_FFFF)
"""The bits of an entry that are the word's hash; the others are the row's number."""
Rows = npt.NDArray[np.uint32]
Entries = npt.NDArray[np.uint64]


class WordsWriter:
    """Collects the words of rows, and writes a block as soon as it is full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        self._parts: list[Entries] = []
        self._rows = self._blocks = 0

    def add(self, texts: pl.Series) -> None:
        """Adds the texts of the next rows."""
        while len(texts):
            room = ROWS_PER_BLOCK - self._rows
            some, texts = texts.head(room), texts.slice(room)
            self._parts.append(_entries(some, self._rows))
            self._rows += len(some)
            if self._rows == ROWS_PER_BLOCK:
                self._write()

    def close(self) -> None:
        """Writes the last block."""
        if self._rows:
            self._write()

    def _write(self) -> None:
        entries = np.concatenate(self._parts)
        entries.sort()
        words = entries & _WORD
        starts = np.flatnonzero(_first_of_each(words))
        name = self._folder / f"{self._blocks:05}"
        np.save(f"{name}.words.npy", words[starts])
        np.save(f"{name}.starts.npy", np.append(starts, len(entries)).astype(np.uint32))
        np.save(f"{name}.rows.npy", (entries & ~_WORD).astype(np.uint16))
        self._parts, self._rows = [], 0
        self._blocks += 1


class Words:
    """The index on disk."""

    def __init__(self, folder: Path) -> None:
        """Maps the files; nothing is read yet.

        Args:
            folder: As `WordsWriter` wrote it.
        """
        names = sorted(file.name.partition(".")[0] for file in folder.glob("*.words.npy"))
        self._blocks = [
            [np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in _PARTS]
            for name in names
        ]

    def release(self) -> None:
        """Lets go of the pages in memory: the next query reads them again."""
        for block in self._blocks:
            release(block)

    def rows_with(self, query: str) -> Rows | None:
        """The numbers of the rows that hold every word of a query, in order.

        Args:
            query: Words in any order. Punctuation counts for nothing.

        Returns:
            None if the query has no word.
        """
        hashes = _hashes(query)
        if not hashes:
            return None
        matches = [
            _in_block(block, hashes, number * ROWS_PER_BLOCK)
            for number, block in enumerate(self._blocks)
        ]
        return np.concatenate(matches) if matches else np.empty(0, np.uint32)


def release(arrays: Iterable[npt.NDArray[Any]]) -> None:
    """Lets go of the pages of mapped arrays; the kernel still has them, so that costs little."""
    for array in arrays:
        if isinstance(array, np.memmap) and (mapping := getattr(array, "_mmap", None)):
            mapping.madvise(mmap.MADV_DONTNEED)


_PARTS = ("words", "starts", "rows")


def _in_block(
    block: Sequence[npt.NDArray[np.generic]], hashes: Iterable[np.uint64], base: int
) -> Rows:
    words, starts, rows = block
    matching: npt.NDArray[np.generic] | None = None
    for word in hashes:
        place = int(np.searchsorted(words, word))
        if place == len(words) or words[place] != word:
            return np.empty(0, np.uint32)
        holding = rows[int(starts[place]) : int(starts[place + 1])]
        if matching is None:
            matching = holding
        else:
            is_held = np.zeros(ROWS_PER_BLOCK, np.bool_)
            is_held[holding] = True
            matching = matching[is_held[matching]]
    assert matching is not None
    return matching.astype(np.uint32) + np.uint32(base)


def _entries(texts: pl.Series, first: int) -> Entries:
    """An entry for each different word of each text: the word's hash, then the row's number.

    Args:
        texts: The texts.
        first: The first one's number within its block.
    """
    import polars as pl

    rows = pl.Series("row", range(first, first + len(texts)), pl.UInt64)
    tokens = pl.col("text").str.to_lowercase().str.extract_all(_TOKEN)
    single = pl.DataFrame({"row": rows, "text": texts}).select("row", tokens)
    single = single.explode("text").drop_nulls("text")
    maybe = single.filter(pl.col("text").str.len_bytes().is_between(3, 4))  # as such characters are
    unspaced = maybe.filter(_is_unspaced(pl.col("text")))
    pair = pl.concat_str(pl.col("text").shift(1), pl.col("text")).alias("text")
    pairs = unspaced.select("row", pair).filter(unspaced["row"] == unspaced["row"].shift(1))
    both = pl.concat([single, pairs])
    hashes = both["text"].hash(_HASH_SEED).to_numpy()
    entries: Entries = (hashes & _WORD) | both["row"].to_numpy()
    entries.sort()  # np.unique takes ten times as long
    return entries[_first_of_each(entries)]


def _first_of_each(ordered: Entries) -> npt.NDArray[np.bool_]:
    """Whether each entry of a sorted array differs from the one before it."""
    is_first = np.ones(len(ordered), np.bool_)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return is_first


def _is_unspaced(text: pl.Expr) -> pl.Expr:
    return text.str.contains(rf"^[{_UNSPACED}]$")


def _hashes(query: str) -> list[np.uint64]:
    import polars as pl

    text = pl.Series([query]).str.to_lowercase()
    single = text.str.extract_all(_TOKEN).explode().drop_nulls()
    unspaced = single.str.contains(rf"^[{_UNSPACED}]$").to_list()
    tokens = list(zip(single.to_list(), unspaced, strict=True))
    pairs = [a + b for (a, is_a), (b, is_b) in pairwise(tokens) if is_a and is_b]
    covered = {character for pair in pairs for character in pair}
    words = dict.fromkeys([token for token, _ in tokens if token not in covered] + pairs)
    return list(pl.Series(list(words), dtype=pl.String).hash(_HASH_SEED).to_numpy() & _WORD)
