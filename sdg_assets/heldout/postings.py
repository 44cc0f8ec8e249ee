"""The n-grams of all held-out texts, each with the texts that contain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdg_assets.heldout.fingerprints import NGRAM, ngrams
from sdg_assets.heldout.tables import KEPT_NGRAMS
from sdg_assets.heldout.weights import FULL_WEIGHT

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]

# An n-gram in more held-out texts than this is common language ("which of the following"). It is
# not looked up at all, so it cannot make a look-up slow either.
COMMON_TEXTS = 64
# Buckets per stored n-gram: most look-ups of unknown n-grams end at an empty bucket.
_BUCKETS = 2
_MULTIPLIER = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class RowNgrams:
    """Parallel arrays, rows ascending: the stored n-grams of rows, each once per row."""

    place: Array
    """Position of the row in its batch (int64)."""
    ngram: Array
    """Position of the n-gram in `Postings.hashes` (int64)."""
    is_outside_context: Array
    """Whether the n-gram also occurs outside the row's context."""


class Postings:
    """An inverted index: n-gram → the held-out texts that contain it."""

    def __init__(self, texts: pl.DataFrame) -> None:
        """Inverts texts → n-grams.

        Args:
            texts: Columns of `texts_schema`, one row per text.
        """
        import numpy as np
        import polars as pl

        postings = (
            texts.lazy()
            .select("ngrams", "lent")
            .with_row_index("text")
            .filter(pl.col("ngrams").list.len() > 0)
            .explode("ngrams", "lent")
            .sort("ngrams", "text")
            .filter(pl.len().over("ngrams") <= COMMON_TEXTS)
            .collect()
        )
        ngram_of = postings["ngrams"].to_numpy()
        self.text = postings["text"].to_numpy()
        """For each posting, the position of its text (uint32)."""
        self.is_own = ~postings["lent"].to_numpy()
        """For each posting, whether the text's own context lacks the n-gram."""
        firsts = np.flatnonzero(np.diff(ngram_of, prepend=ngram_of[:1] + np.uint64(1)))
        self.hashes = ngram_of[firsts]
        """The distinct n-grams, ascending (uint64)."""
        self._starts = np.append(firsts, len(ngram_of)).astype(np.uint32)
        # For a longer text, only a sample of its n-grams is stored.
        self.scale = np.maximum(1, texts["length"].to_numpy() / KEPT_NGRAMS).astype(np.float32)
        """For each text, the number of its n-grams per stored n-gram (float32)."""
        # Hashes are evenly distributed: their first bits tell their approximate place in `hashes`.
        bits = max(8, (len(self.hashes) * _BUCKETS).bit_length())
        self._shift = np.uint64(64 - bits)
        in_bucket = np.bincount((self.hashes >> self._shift).astype(np.int64), minlength=1 << bits)
        self._bucket_starts = (np.cumsum(in_bucket) - in_bucket).astype(np.uint32)

    def text_weights(self, of_ngram: Array) -> tuple[Array, Array]:
        """The weight of each text, and of those of its n-grams that its context lacks (float32).

        Args:
            of_ngram: The weights of the n-grams, as in `Background`.
        """
        import numpy as np

        weights = np.repeat(of_ngram, np.diff(self._starts)) / np.float32(FULL_WEIGHT)
        whole, own = (
            np.bincount(self.text, posting_weights, minlength=len(self.scale)) * self.scale
            for posting_weights in (weights, weights * self.is_own)
        )
        return whole.astype(np.float32), own.astype(np.float32)

    def lists(self, ngram: Array) -> tuple[Array, Array]:
        """For each given n-gram, its first posting and its number of postings (int64)."""
        import numpy as np

        firsts = self._starts[ngram].astype(np.int64)
        return firsts, self._starts[ngram + 1] - firsts

    def of_rows(self, rows: Sequence[Sequence[str]]) -> RowNgrams:
        """The stored n-grams that rows contain.

        Args:
            rows: The folded texts of each row, its context first.
        """
        import numpy as np

        # A row is joined into one text, as it is trained on: a question may begin in its context.
        joined = ["".join(row) for row in rows]
        hashes, place = ngrams(joined)
        ngram = self._positions(hashes)
        at = np.flatnonzero(ngram >= 0)
        ngram, place = ngram[at], place[at]
        counts = np.fromiter((max(len(text) - NGRAM + 1, 0) for text in joined), dtype=np.int64)
        # The number of n-grams that lie entirely in the context, counted from the row's first one.
        in_context = np.fromiter((len(row[0]) - NGRAM + 1 for row in rows), dtype=np.int64)
        context_ends = np.cumsum(counts) - counts + in_context
        is_outside_context = at >= context_ends[place]
        kept = _once(place * len(self.hashes) + ngram, is_outside_context)
        return RowNgrams(place[kept], ngram[kept], is_outside_context[kept])

    def _positions(self, hashes: Array) -> Array:
        """The position of each hash in `hashes`; -1 if it is not stored."""
        import numpy as np

        positions = np.full(len(hashes), -1, dtype=np.int64)
        if not len(self.hashes):
            return positions
        last = len(self.hashes) - 1
        left = np.arange(len(hashes))
        position = self._bucket_starts.take((hashes >> self._shift).astype(np.int64))
        position = np.minimum(position.astype(np.int64), last)
        while len(left):
            stored = self.hashes.take(position)
            is_equal = np.flatnonzero(stored == hashes)
            positions[left[is_equal]] = position[is_equal]
            goes_on = np.flatnonzero((stored < hashes) & (position < last))
            left, hashes = left[goes_on], hashes[goes_on]
            position = position[goes_on] + 1
        return positions


def _once(codes: Array, marks: Array) -> Array:
    """Ascending positions, one per distinct code; its mark is set if any equal code has a mark.

    This is a hash table: sorting the codes takes twice as long.

    Args:
        codes: Any numbers (int64).
        marks: A bool per code; this array is changed.
    """
    import numpy as np

    bits = max(1, (2 * len(codes)).bit_length())
    slot = (codes.astype(np.uint64) * np.uint64(_MULTIPLIER) >> np.uint64(64 - bits)).astype(
        np.int64
    )
    table = np.empty(1 << bits, dtype=np.int64)
    is_kept = np.zeros(len(codes), dtype=bool)
    left = np.arange(len(codes))
    while len(left):
        table[slot] = left
        winner = table[slot]
        is_kept[winner] = True
        is_equal = codes[winner] == codes[left]
        marks[winner[is_equal & marks[left]]] = True
        others = np.flatnonzero(~is_equal)
        left, slot = left[others], slot[others]
    return np.flatnonzero(is_kept)
