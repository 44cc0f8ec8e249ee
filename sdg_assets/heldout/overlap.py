"""Computes how much of each held-out text the rows of a batch contain.

A row shares a word or two with thousands of held-out texts, and a large part with few or none. So
the weights are first summed over slots, where several texts of a row share a slot: one pass without
a sort. Exact sums are computed only for slots, and so perhaps texts, with enough weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdg_assets.heldout.groups import ranges
from sdg_assets.heldout.postings import Postings, RowNgrams
from sdg_assets.heldout.weights import FULL_WEIGHT

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# Pairs of a row's n-gram and a text that are processed together; a batch of long rows has millions.
_PAIRS_AT_ONCE = 1 << 16
# Slots per row, a power of two.
_SLOTS = 1024
# A row overlaps with a text from this weight on, in rare n-grams; less is a common word or two.
LEAST_WEIGHT = 3.0
# The sums over slots are rounded; the margin keeps texts that have just enough weight.
_NEARLY_ENOUGH = 0.999


@dataclass(frozen=True)
class TextOverlap:
    """Parallel arrays (float32): the weight of held-out texts' n-grams that rows contain."""

    anywhere: Array
    """The weight of the text's n-grams that the row contains."""
    outside_context: Array
    """The part of `anywhere` that occurs outside the row's context."""
    own: Array
    """The part of `anywhere` that is missing from the held-out text's own context."""


@dataclass(frozen=True)
class _Pairs:
    """Parallel arrays: n-grams of several rows, each paired with every text that has it."""

    entry: Array
    """Position of the n-gram among the n-grams of all rows."""
    posting: Array
    """Position of the pair's text in `Postings.text`."""
    text: Array
    """Position of the text."""
    slot: Array
    """The slot in which the weights of this row and this text are summed."""
    first: int
    """Place of the first row."""
    slots: int
    """Number of slots of all these rows."""

    def codes(self, at: Array, texts: int) -> Array:
        """One number per pair in `at` for its row and its text."""
        return (self.slot[at] // _SLOTS + self.first) * texts + self.text[at]


class Overlap:
    """The n-grams that rows of a batch share with held-out texts."""

    def __init__(self, postings: Postings, ngrams: RowNgrams, of_ngram: Array) -> None:
        """Drops n-grams that weigh nothing.

        Args:
            postings: The postings of the index.
            ngrams: The n-grams of the rows, from the same postings.
            of_ngram: The weights of the n-grams, as in `Background`.
        """
        import numpy as np

        weights = of_ngram[ngrams.ngram]
        kept = np.flatnonzero(weights)
        self._postings = postings
        self._place, self._ngram = ngrams.place[kept], ngrams.ngram[kept]
        self._is_outside_context = ngrams.is_outside_context[kept]
        self._weight = weights[kept] / np.float32(FULL_WEIGHT)
        self._texts = max(len(postings.scale), 1)

    def reaching(self, least: Array) -> tuple[Array, Array, Array]:
        """Finds the texts of which a row contains enough.

        Args:
            least: For each text, the weight that is enough.

        Returns:
            Parallel arrays, ascending: place of the row, position of the text, and the weight of
            the text's n-grams that the row contains (float32).
        """
        import numpy as np

        empty = np.empty(0, dtype=np.int64)
        codes, entries = [empty], [empty]
        unit = self._postings.scale / least
        for pairs in self._pairs(np.arange(len(self._place))):
            weights = self._weight.take(pairs.entry) * unit.take(pairs.text)
            sums = np.bincount(pairs.slot, weights, minlength=pairs.slots)
            has_enough = sums >= _NEARLY_ENOUGH
            if has_enough.any():
                at = np.flatnonzero(has_enough.take(pairs.slot))
                codes.append(pairs.codes(at, self._texts))
                entries.append(pairs.entry[at])
        code, entry = np.concatenate(codes), np.concatenate(entries)
        order = self._order(code, entry)
        code, entry = code[order], entry[order]
        firsts = np.flatnonzero(np.diff(code, prepend=-1))
        place, text = np.divmod(code[firsts], self._texts)
        weights = self._weight[entry] * self._postings.scale[code % self._texts]
        weight = np.add.reduceat(weights, firsts) if len(firsts) else weights
        enough = np.flatnonzero(weight >= least[text])
        return place[enough], text[enough], weight[enough]

    def of(self, place: Array, text: Array) -> TextOverlap:
        """The weight of the given texts that rows contain; 0 if it is less than `LEAST_WEIGHT`.

        Args:
            place: Places of rows.
            text: For each place, the position of a text; -1 for none, which gives 0.
        """
        import numpy as np

        with_text = np.flatnonzero(text >= 0)
        wanted, position = np.unique(
            place[with_text] * self._texts + text[with_text], return_inverse=True
        )
        pair, entry, posting = self._matches(wanted)
        order = self._order(pair, entry)
        pair, entry, posting = pair[order], entry[order], posting[order]
        firsts = np.flatnonzero(np.diff(pair, prepend=-1))
        weights = self._weight[entry] * self._postings.scale[wanted[pair] % self._texts]
        if len(firsts):
            is_enough = np.add.reduceat(weights, firsts) >= LEAST_WEIGHT
            weights = weights * np.repeat(is_enough, np.diff(np.append(firsts, len(weights))))

        def summed(weights: Array) -> Array:
            sums, result = np.zeros(len(wanted), np.float32), np.zeros(len(text), np.float32)
            if len(firsts):
                sums[pair[firsts]] = np.add.reduceat(weights, firsts)
            result[with_text] = sums[position]
            return result

        return TextOverlap(
            summed(weights),
            summed(weights * self._is_outside_context[entry]),
            summed(weights * self._postings.is_own[posting]),
        )

    def _order(self, group: Array, entry: Array) -> Array:
        """Sorts matches by group, and within a group by n-gram.

        Sums of weights are rounded. The fixed order keeps a row's verdict independent of the order
        of its words.
        """
        import numpy as np

        return np.argsort(group * max(len(self._postings.hashes), 1) + self._ngram[entry])

    def _matches(self, wanted: Array) -> tuple[Array, Array, Array]:
        """The n-grams that a row and a text have in common, for distinct pairs of the two.

        Args:
            wanted: Codes of pairs of a row and a text, ascending.

        Returns:
            Parallel arrays: position in `wanted`, position among the rows' n-grams, and position
            among all postings.
        """
        import numpy as np

        empty = np.empty(0, dtype=np.int64)
        matches = [(empty, empty, empty)]
        place, text = np.divmod(wanted, self._texts)
        slot = place * _SLOTS + (text & (_SLOTS - 1))
        for pairs in self._pairs(np.flatnonzero(np.isin(self._place, place))):
            is_wanted = np.zeros(pairs.slots, dtype=bool)
            low, high = np.searchsorted(place, (pairs.first, pairs.first + pairs.slots // _SLOTS))
            is_wanted[slot[low:high] - pairs.first * _SLOTS] = True
            at = np.flatnonzero(is_wanted.take(pairs.slot))
            codes = pairs.codes(at, self._texts)
            pair = np.minimum(np.searchsorted(wanted, codes), len(wanted) - 1)
            is_match = wanted[pair] == codes
            at = at[is_match]
            matches.append((pair[is_match], pairs.entry[at], pairs.posting[at]))
        pair, entry, posting = (np.concatenate(column) for column in zip(*matches, strict=True))
        return pair, entry, posting

    def _pairs(self, entries: Array) -> Iterator[_Pairs]:
        """Pairs rows' n-grams with the texts that have them, several rows at a time.

        Args:
            entries: Positions of the n-grams, ascending.
        """
        import numpy as np

        place, ngram = self._place[entries], self._ngram[entries]
        starts, lengths = self._postings.lists(ngram)
        cuts = np.append(np.flatnonzero(np.diff(place, prepend=-1)), len(place))
        pairs_before = np.append(0, np.cumsum(lengths))[cuts]
        row = 0
        while row < len(cuts) - 1:
            most = pairs_before[row] + _PAIRS_AT_ONCE
            end = max(int(np.searchsorted(pairs_before, most, "right")) - 1, row + 1)
            batch = slice(cuts[row], cuts[end])
            row = end
            first = int(place[batch][0])
            entry = np.repeat(entries[batch], lengths[batch])
            posting = ranges(starts[batch], lengths[batch])
            text = self._postings.text.take(posting).astype(np.int64)
            slot = np.repeat((place[batch] - first) * _SLOTS, lengths[batch])
            slot += text & (_SLOTS - 1)
            rows = int(place[batch][-1]) - first + 1
            yield _Pairs(entry, posting, text, slot, first, rows * _SLOTS)
