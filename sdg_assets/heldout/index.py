"""All held-out hashes that rows are gated against, in sorted arrays, looked up by the batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import log
from typing import TYPE_CHECKING, Any

from sdg_assets.examples import Example
from sdg_assets.gates.base import batches
from sdg_assets.heldout.fingerprints import ngrams, plain_texts_of
from sdg_assets.heldout.tables import KEPT_NGRAMS, HeldoutTables

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]

# An n-gram that more held-out texts have is common language ("which of the following"). It is not
# looked up at all, so it cannot make a look-up slow either.
COMMON_TEXTS = 64
# An n-gram that fewer of the training rows have is rare. The weight of another falls with the
# logarithm of the share of rows that have it, to 0 where all have it.
RARE_SHARE = 1 / 200
# So many training rows are counted, evenly spread: enough to see what one in two hundred has.
BACKGROUND_ROWS = 4096
# A handful of training rows does not show what is rare among them.
_FEW_ROWS = 10
# Of the held-out rows that share a text so many are looked at.
_ROWS_OF_A_TEXT = 32
# Bits a hash in the filter that answers most look-ups from the processor's cache.
_FILTER_BITS = 8
_FULL_WEIGHT = 255


@dataclass(frozen=True)
class HeldoutRow:
    """What is known of a held-out row; the columns of `rows_schema`."""

    benchmark: str
    item: int
    question: int
    context: int
    choices: int
    answer: int
    numbers: list[int]
    signs: int
    common: bool
    settings: int
    """Contexts and sets of choices with which its table asks this question."""


@dataclass(frozen=True)
class Overlap:
    """What a row has of a held-out text, in n-grams that count from 0 to 1 by their rarity."""

    weight: float
    """Of the held-out text."""
    anywhere: float
    """Of what stands in any part of the row."""
    asked: float
    """Of what stands in it outside of its context."""

    @property
    def share(self) -> float:
        """Of the held-out text, that stands in any part of the row."""
        return self.anywhere / self.weight if self.weight else 0.0


NO_OVERLAP = Overlap(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Background:
    """How much the n-grams of an index tell of rows of one subtask."""

    of_ngram: Array
    """Weight of each n-gram, 255 for a rare one."""
    of_text: Array
    """Weight of each held-out text: the sum over its n-grams, a rare one counting 1."""


class HeldoutIndex:
    """Held-out rows of any number of benchmarks.

    Memory: 16 bytes a stored n-gram (at most 1 KiB a text) and 100 a row; three times that while it
    is built. A background takes 1 byte an n-gram and 4 a text.
    """

    def __init__(self, tables: Mapping[str, HeldoutTables]) -> None:
        """Joins the hashes of several benchmarks.

        Args:
            tables: Name of a benchmark, or `task/subtask` → its hashes.
        """
        import numpy as np
        import polars as pl

        joined = HeldoutTables.joined(tables.values())
        self._names = list(tables)
        self._ends = np.cumsum([len(t.rows) for t in tables.values()], dtype=np.int64)
        settings = [
            t.rows.select(pl.col("item").n_unique().over("question")).to_series()
            for t in tables.values()
        ]
        self._rows = joined.rows.with_columns(
            settings=pl.concat([pl.Series(dtype=pl.UInt32), *settings])
        )
        texts = joined.texts.unique("key", maintain_order=True).sort("key")
        self._texts = texts["key"].to_numpy()
        self._words = texts["words"].to_numpy()
        self._postings = _Postings(texts)
        self._items = _Keys(self._rows["item"])
        self._parts = {p: _Keys(self._rows[p]) for p in ("question", "choices", "context")}

    def __len__(self) -> int:
        """Held-out rows."""
        return len(self._rows)

    def background(self, rows: Iterable[Example] = (), of: int = 0) -> Background:
        """Learns from a subtask's training rows how much each n-gram tells of such rows.

        Args:
            rows: The training rows; without any, every n-gram counts as rare.
            of: How many there are: of more than `BACKGROUND_ROWS`, some are left out evenly.
        """
        import numpy as np

        counts, total = np.zeros(len(self._postings.hashes), dtype=np.int64), 0
        for batch in batches(islice(rows, 0, None, max(1, of // BACKGROUND_ROWS))):
            found = self._postings.known(plain_texts_of(batch))
            counts += np.bincount(found.ngram, minlength=len(counts))
            total += len(batch)
        share = np.maximum(counts, 1) / (total + _FEW_ROWS)
        weights = np.where(counts, np.minimum(np.log(share) / log(RARE_SHARE), 1), 1)
        return self._postings.background(np.rint(weights * _FULL_WEIGHT).astype(np.uint8))

    def overlaps(
        self, texts: Sequence[Sequence[str]], background: Background, least: float
    ) -> Overlaps:
        """What rows have of held-out texts.

        Args:
            texts: The plain texts of each row, its context first.
            background: Of the rows' subtask.
            least: The share of a text from which it is listed in `Overlaps.texts`.
        """
        known = self._postings.known(texts)
        return Overlaps(self._texts, self._postings.shares(known, background), background, least)

    def rows_with(self, part: str, key: int) -> list[int]:
        """Some of the held-out rows that have this text as their question, choices or context."""
        return self._parts[part].rows(key)[:_ROWS_OF_A_TEXT]

    def same_item(self, key: int) -> list[int]:
        """The held-out rows that are this one, see `item_key`."""
        return self._items.rows(key)[:_ROWS_OF_A_TEXT]

    def row(self, at: int) -> HeldoutRow:
        """What is known of a row."""
        import numpy as np

        owner = int(np.searchsorted(self._ends, at, "right"))
        return HeldoutRow(benchmark=self._names[owner], **self._rows.row(at, named=True))

    def known_questions(self, keys: Sequence[int]) -> list[bool]:
        """Whether some held-out row asks this question, for each key."""
        return self._parts["question"].contain(keys)

    def known_items(self, keys: Sequence[int]) -> list[bool]:
        """Whether some held-out row is this one, for each key."""
        return self._items.contain(keys)

    def words(self, key: int) -> int:
        """How many words a held-out text has."""
        import numpy as np

        return int(self._words[np.searchsorted(self._texts, np.uint64(key))])


class Overlaps:
    """What the rows of a batch have of held-out texts."""

    def __init__(self, keys: Array, shares: Shares, background: Background, least: float) -> None:
        import numpy as np

        self._keys, self._shares, self._weights = keys, shares, background.of_text
        weight = self._weights[shares.text]
        listed = (shares.anywhere >= least * weight) & (shares.anywhere > 0)
        self.texts: dict[int, list[int]] = {}
        """Place in the batch → keys of the texts of which the row has a large share."""
        for at in np.flatnonzero(listed):
            place = int(shares.place[at])
            self.texts.setdefault(place, []).append(int(keys[shares.text[at]]))

    def of(self, place: int, key: int) -> Overlap:
        """What a row has of a held-out text.

        Args:
            place: Of the row in the batch.
            key: Of the text; 0 for none.
        """
        import numpy as np

        text = int(np.searchsorted(self._keys, np.uint64(key))) if key else len(self._keys)
        if text == len(self._keys) or self._keys[text] != key:
            return NO_OVERLAP
        shares, weight = self._shares, float(self._weights[text])
        start, end = np.searchsorted(shares.place, [place, place + 1])
        at = start + int(np.searchsorted(shares.text[start:end], text))
        if at == end or shares.text[at] != text:
            return Overlap(weight, 0.0, 0.0)
        return Overlap(weight, float(shares.anywhere[at]), float(shares.asked[at]))


@dataclass(frozen=True)
class Shares:
    """Parallel arrays, sorted by row and text: the weight of a text's n-grams in a row."""

    place: Array
    text: Array
    anywhere: Array
    asked: Array


@dataclass(frozen=True)
class Known:
    """Parallel arrays: n-grams of an index that rows have, each once a row."""

    place: Array
    ngram: Array
    is_asked: Array
    """Whether it stands outside of the row's context."""


class _Keys:
    """Rows by a hash. 0 stands for none and is not found."""

    def __init__(self, keys: pl.Series) -> None:
        import numpy as np

        values = keys.to_numpy()
        rows = np.flatnonzero(values)
        order = np.argsort(values[rows], kind="stable")
        self._rows = rows[order].astype(np.uint32)
        self._keys = values[self._rows]

    def rows(self, key: int) -> list[int]:
        import numpy as np

        low, high = np.searchsorted(self._keys, np.uint64(key)), 0
        high = np.searchsorted(self._keys, np.uint64(key), "right")
        return [int(at) for at in self._rows[low:high]]

    def contain(self, keys: Sequence[int]) -> list[bool]:
        import numpy as np

        asked = np.array(keys, dtype=np.uint64)
        if not len(self._keys):
            return [False] * len(keys)
        at = np.minimum(np.searchsorted(self._keys, asked), len(self._keys) - 1)
        return [bool(same) for same in self._keys[at] == asked]


class _Postings:
    """N-grams with the texts that have them."""

    def __init__(self, texts: pl.DataFrame) -> None:
        import numpy as np
        import polars as pl

        postings = (
            texts.lazy()
            .select("ngrams")
            .with_row_index("text")
            .filter(pl.col("ngrams").list.len() > 0)
            .explode("ngrams")
            .sort("ngrams", "text")
            .filter(pl.len().over("ngrams") <= COMMON_TEXTS)
            .collect()
        )
        every = postings["ngrams"].to_numpy()
        self._text = postings["text"].to_numpy()
        firsts = np.flatnonzero(np.diff(every, prepend=every[:1] + np.uint64(1)))
        self.hashes = every[firsts]
        self._starts = np.append(firsts, len(every)).astype(np.int64)
        # Of a longer text a sample is kept.
        self._scale = np.maximum(1, texts["length"].to_numpy() / KEPT_NGRAMS).astype(np.float32)
        # One bit for each value of a hash's first bits says no for most of what is not there.
        bits = max(16, (max(len(self.hashes), 1) * _FILTER_BITS - 1).bit_length())
        self._shift = np.uint64(64 - bits)
        self._may_hold = np.zeros(1 << bits, dtype=bool)
        self._may_hold[self.hashes >> self._shift] = True

    def background(self, of_ngram: Array) -> Background:
        import numpy as np

        weights = np.repeat(of_ngram, np.diff(self._starts)) / np.float32(_FULL_WEIGHT)
        of_text = np.bincount(self._text, weights, minlength=len(self._scale))
        return Background(of_ngram, (of_text * self._scale).astype(np.float32))

    def known(self, rows: Sequence[Sequence[str]]) -> Known:
        """The n-grams of rows that the index has.

        Args:
            rows: The plain texts of each row, its context first.
        """
        import numpy as np

        sizes = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        hashes, of = ngrams([text for row in rows for text in row])
        maybe = np.flatnonzero(self._may_hold[hashes >> self._shift])
        hashes, of = hashes[maybe], of[maybe]
        ngram = np.searchsorted(self.hashes, hashes)
        ngram[ngram == len(self.hashes)] = 0
        there = self.hashes[ngram] == hashes if len(self.hashes) else np.zeros(len(hashes), bool)
        ngram, of = ngram[there], of[there]
        place = np.repeat(np.arange(len(rows)), sizes)[of]
        in_context = np.isin(of, np.cumsum(sizes) - sizes)
        # Sorted so that of equal n-grams of a row one outside of its context comes first.
        codes = (place * max(len(self.hashes), 1) + ngram) * 2 + in_context
        codes.sort()
        codes = codes[np.diff(codes >> 1, prepend=-1) != 0]
        place, ngram = np.divmod(codes >> 1, max(len(self.hashes), 1))
        return Known(place, ngram, (codes & 1) == 0)

    def shares(self, known: Known, background: Background) -> Shares:
        """What rows have of each text that they share an n-gram with."""
        import numpy as np

        telling = background.of_ngram[known.ngram] > 0
        place, ngram, is_asked = (
            column[telling] for column in (known.place, known.ngram, known.is_asked)
        )
        low = self._starts[ngram]
        times = self._starts[ngram + 1] - low
        posting = np.repeat(low - np.cumsum(times) + times, times) + np.arange(times.sum())
        texts = len(self._scale)
        codes = np.repeat(place, times) * texts + self._text[posting]
        order = np.argsort(codes, kind="stable")
        codes = codes[order]
        firsts = np.flatnonzero(np.diff(codes, prepend=-1))
        weight = np.repeat(background.of_ngram[ngram] / np.float32(_FULL_WEIGHT), times)[order]
        asked = weight * np.repeat(is_asked, times)[order]
        pair_place, pair_text = np.divmod(codes[firsts], max(texts, 1))
        if not len(firsts):
            return Shares(pair_place, pair_text, weight, asked)
        scale = self._scale[pair_text]
        return Shares(
            pair_place,
            pair_text,
            np.add.reduceat(weight, firsts) * scale,
            np.add.reduceat(asked, firsts) * scale,
        )
