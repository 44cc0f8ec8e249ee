"""All held-out hashes that rows are gated against, in sorted arrays, looked up by the batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from math import log
from typing import TYPE_CHECKING, Any

from sdg_assets.heldout.fingerprints import NGRAM, ngrams, plain_texts_of
from sdg_assets.heldout.tables import KEPT_NGRAMS, HeldoutTables
from sdg_assets.records import Example

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
# A handful of training rows does not show what is rare among them.
_FEW_ROWS = 10
# What a question must weigh, in rare n-grams, to be recognized by itself: two rare words.
TELLING = 8.0
# What a row must have of it, however large the share.
EVIDENCE = 6.0
# A question that a table asks with more contexts or sets of choices is a stem ("What is the main
# idea of the passage?").
STEM_SETTINGS = 2
# The share that is the whole question: the rest is lost where it was cut in two or joined.
WHOLE = 0.9
SAME_CONTEXT = 0.5
PARTS = ("question", "choices", "context")
# Of the held-out rows that share a text so many are looked at.
ROWS_OF_A_TEXT = 32
# Bits a hash in the filter that answers most look-ups from the processor's cache.
_FILTER_BITS = 8
_FULL_WEIGHT = 255
# What a row has of a text, in rare n-grams, from which it is looked at: more than a common word.
_LEAST_WEIGHT = 3.0
_BUCKET_BITS = 20
_MULTIPLIER = 0x9E3779B97F4A7C15
_ROWS_AT_ONCE = 1024


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


# In the order of the fields above.
_COLUMNS = [column.name for column in fields(HeldoutRow)][1:]


@dataclass(frozen=True)
class Candidate:
    """A row of a batch beside a held-out row that it may repeat."""

    place: int
    """Of the row in the batch."""
    row: int
    """Of the held-out row, see `HeldoutIndex.rows`."""
    weight: float
    """Of what the held-out question is recognized by, in rare n-grams."""
    share: float
    """Of that weight, what stands in the row."""
    is_stem: bool
    """Whether the question alone tells too little: its choices or its context are part of it."""
    context: float
    """The share of the held-out context that the row has; 0 if there is none."""
    words: float
    """Of the held-out question, those of a frame left out."""


@dataclass(frozen=True)
class SharedContext:
    """A row of a batch that shares a held-out context."""

    place: int
    benchmark: str
    key: int
    words: int
    weight: float
    share: float


@dataclass(frozen=True)
class Background:
    """How much the n-grams of an index tell of rows of one subtask."""

    of_ngram: Array
    """Weight of each n-gram, 255 for a rare one."""
    of_text: Array
    """Weight of each held-out text: the sum over its n-grams, a rare one counting 1."""
    own: Array
    """The same, over the n-grams that the text's own context does not have."""
    is_stem: Array
    """Of each held-out row, whether its question alone tells too little."""


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
        self._is_asked_often = self._rows["settings"].to_numpy() > STEM_SETTINGS
        # So many rows ask it that it is no question of any: equal ones are not even looked at.
        self._is_frame = self._rows["settings"].to_numpy() > ROWS_OF_A_TEXT
        texts = joined.texts.unique("key", maintain_order=True).sort("key")
        self._texts = texts["key"].to_numpy()
        self._words = texts["words"].to_numpy()
        self._lengths = texts["length"].to_numpy()
        self._postings = _Postings(texts)
        self._items = _Groups(self._rows["item"].to_numpy())
        self._question_keys = self._rows["question"].to_numpy()
        self._questions = _Groups(self._question_keys)
        self._parts = {part: _Part(self._rows[part], self._texts) for part in PARTS}

    def __len__(self) -> int:
        """Held-out rows."""
        return len(self._rows)

    def background(self, rows: Iterable[Example] = ()) -> Background:
        """Learns from a subtask's training rows how much each n-gram tells of such rows.

        Args:
            rows: The training rows, or a sample of them; without any, every n-gram counts as rare.
        """
        import numpy as np

        counts, total = np.zeros(len(self._postings.hashes), dtype=np.int64), 0
        stream = iter(rows)
        while batch := list(islice(stream, _ROWS_AT_ONCE)):
            found = self._postings.known(plain_texts_of(batch))
            counts += np.bincount(found.ngram, minlength=len(counts))
            total += len(batch)
        share = np.maximum(counts, 1) / (total + _FEW_ROWS)
        weights = np.where(counts, np.minimum(np.log(share) / log(RARE_SHARE), 1), 1)
        of_ngram = np.rint(weights * _FULL_WEIGHT).astype(np.uint8)
        of_text, own = self._postings.weights(of_ngram)
        alone = self._parts["question"].of(of_text)
        is_stem = (alone < TELLING) | self._is_asked_often
        return Background(of_ngram, of_text, own, is_stem)

    def search(
        self,
        texts: Sequence[Sequence[str]],
        items: Sequence[int],
        questions: Sequence[int],
        background: Background,
        least: float,
    ) -> tuple[list[Candidate], list[SharedContext]]:
        """The held-out rows that rows of a batch may repeat, and the contexts that they share.

        Args:
            texts: The plain texts of each row, its context first.
            items: The rows' keys, see `item_key`.
            questions: The keys of their questions.
            background: Of the rows' subtask.
            least: The share from which rows that are not equal count.
        """
        shares = self._postings.shares(self._postings.known(texts), background)
        weight = background.of_text[shares.text]
        listed = (shares.anywhere >= least * weight) & (shares.anywhere >= EVIDENCE)
        place, text = shares.place[listed], shares.text[listed]
        pairs = [
            self._items.pairs(items),
            _only(self._questions.pairs(questions), ~self._is_frame),
            self._parts["question"].rows(place, text),
            *(
                _only(self._parts[part].rows(place, text), background.is_stem)
                for part in ("choices", "context")
            ),
        ]
        candidates = self._candidates(pairs, questions, shares, background, least)
        return candidates, self._shared(place, text, shares.anywhere[listed], weight[listed])

    def rows(self, places: Iterable[int]) -> dict[int, HeldoutRow]:
        """What is known of held-out rows, by their place in the index."""
        wanted = sorted(set(places))
        names = map(self._name, wanted)
        columns = zip(names, self._rows[wanted].select(_COLUMNS).iter_rows(), strict=True)
        return {
            place: HeldoutRow(name, *values)
            for place, (name, values) in zip(wanted, columns, strict=True)
        }

    def _candidates(
        self,
        pairs: Iterable[tuple[Array, Array]],
        questions: Sequence[int],
        shares: Shares,
        background: Background,
        least: float,
    ) -> list[Candidate]:
        import numpy as np

        pairs = list(pairs)
        codes = np.unique(
            np.concatenate([place * max(len(self._rows), 1) + row for place, row in pairs])
        )
        place, row = np.divmod(codes, max(len(self._rows), 1))
        is_same = np.array(questions, dtype=np.uint64)[place] == self._question_keys[row]
        is_stem = background.is_stem[row]
        question_text = self._parts["question"].text[row]
        parts = {
            part: _Found.of(self._parts[part].text[row], place, shares, background.of_text)
            for part in PARTS
        }
        question, choices, context = (parts[part] for part in PARTS)
        in_context = context.share
        # Where the row has the passage, the words that the passage lends to the question are no
        # sign of it, unless all of them stand there.
        weight = question.weight
        own = self._parts["question"].of(background.own)[row]
        of_own = np.divide(question.own, own, out=np.zeros(len(own)), where=own >= EVIDENCE)
        with_passage = np.maximum(question.asked, of_own * weight)
        lends = (in_context >= SAME_CONTEXT) & (question.share < WHOLE)
        found = np.where(lends, with_passage, question.anywhere)
        # Choices, or a context, stand in for a question that many rows ask, if it is asked too.
        is_asked = is_same | (question.share >= SAME_CONTEXT) | (weight == 0)
        often = self._is_asked_often[row]
        found, weight = np.where(often, 0, found), np.where(often, 0, weight)
        with_choices = is_stem & is_asked
        found = found + np.where(with_choices, choices.anywhere, 0)
        weight = weight + np.where(with_choices, choices.weight, 0)
        with_context = with_choices & (weight < TELLING) & (is_same | (question.weight > 0))
        found = found + np.where(with_context, context.anywhere, 0)
        weight = weight + np.where(with_context, context.weight, 0)
        share = np.divide(found, weight, out=np.zeros(len(found)), where=weight > 0)
        told = np.minimum(question.weight / np.maximum(self._lengths[question_text], 1), 1)
        words = self._words[question_text] * told
        is_equal = np.isin(codes, _codes(pairs[0], len(self._rows))) | (
            is_same & ~self._is_frame[row]
        )
        kept = np.flatnonzero(is_equal | ((share >= least) & (found >= EVIDENCE)))
        return [
            Candidate(
                place=int(place[at]),
                row=int(row[at]),
                weight=float(weight[at]),
                share=min(float(share[at]), 1.0),
                is_stem=bool(is_stem[at]),
                context=float(in_context[at]),
                words=float(words[at]),
            )
            for at in kept
        ]

    def _shared(
        self, place: Array, text: Array, anywhere: Array, weight: Array
    ) -> list[SharedContext]:
        import numpy as np

        part = self._parts["context"]
        at = np.flatnonzero(part.is_used[text])
        found: dict[tuple[int, str], SharedContext] = {}
        for p, t, a, w in zip(place[at], text[at], anywhere[at], weight[at], strict=True):
            shared = SharedContext(
                place=int(p),
                benchmark="",
                key=int(self._texts[t]),
                words=int(self._words[t]),
                weight=float(w),
                share=min(float(a / w), 1.0),
            )
            for name in {self._name(row) for row in part.rows_of(int(t))}:
                known = found.get((shared.place, name))
                if known is None or known.share < shared.share:
                    found[shared.place, name] = replace(shared, benchmark=name)
        return list(found.values())

    def _name(self, row: int) -> str:
        import numpy as np

        return self._names[int(np.searchsorted(self._ends, row, "right"))]


@dataclass(frozen=True)
class _Found:
    """Parallel arrays: the weight of one part of held-out rows, and of what rows have of it."""

    weight: Array
    anywhere: Array
    asked: Array
    own: Array

    @classmethod
    def of(cls, text: Array, place: Array, shares: Shares, weights: Array) -> _Found:
        import numpy as np

        texts = max(len(weights), 1)
        known = shares.place * texts + shares.text
        wanted = place * texts + text
        at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
        there = (text >= 0) & (known[at] == wanted) if len(known) else np.zeros(len(text), bool)
        at = np.where(there, at, 0)

        def looked_up(values: Array) -> Array:
            return np.where(there, values[at] if len(values) else 0, 0)

        weight = np.where(text >= 0, weights[text] if len(weights) else 0, 0)
        return cls(
            weight, looked_up(shares.anywhere), looked_up(shares.asked), looked_up(shares.own)
        )

    @property
    def share(self) -> Array:
        import numpy as np

        none = np.zeros(len(self.weight))
        return np.divide(self.anywhere, self.weight, out=none, where=self.weight > 0)


@dataclass(frozen=True)
class Shares:
    """Parallel arrays, sorted by row and text: the weight of a text's n-grams in a row."""

    place: Array
    text: Array
    anywhere: Array
    asked: Array
    """Of `anywhere`, what stands outside of the row's context."""
    own: Array
    """Of `anywhere`, what the text's own context does not have."""


@dataclass(frozen=True)
class Known:
    """Parallel arrays: n-grams of an index that rows have, each once a row."""

    place: Array
    ngram: Array
    is_asked: Array
    """Whether it stands outside of the row's context."""


class _Groups:
    """Rows by a hash. 0 stands for none and is not found."""

    def __init__(self, keys: Array) -> None:
        import numpy as np

        rows = np.flatnonzero(keys)
        order = np.argsort(keys[rows], kind="stable")
        self._rows = rows[order].astype(np.uint32)
        self._keys = keys[self._rows]

    def pairs(self, keys: Sequence[int]) -> tuple[Array, Array]:
        """Position in `keys` and row, where they are equal."""
        import numpy as np

        asked = np.array(keys, dtype=np.uint64)
        low = np.searchsorted(self._keys, asked, "left")
        times = np.minimum(np.searchsorted(self._keys, asked, "right") - low, ROWS_OF_A_TEXT)
        return np.repeat(np.arange(len(asked)), times), self._rows[_ranges(low, times)].astype(
            np.int64
        )


class _Part:
    """One part of all held-out rows: which text it is, and the rows that share a text."""

    def __init__(self, keys: pl.Series, texts: Array) -> None:
        import numpy as np

        values = keys.to_numpy()
        at = np.searchsorted(texts, values)
        self.text = np.where(values == 0, -1, at)
        """Position of its text among all texts, -1 for none."""
        order = np.argsort(self.text, kind="stable")
        self._rows = order[self.text[order] >= 0].astype(np.uint32)
        times = np.bincount(self.text[self.text >= 0], minlength=len(texts))
        self._starts = np.append(0, np.cumsum(times))
        self.is_used = times > 0

    def of(self, weights: Array) -> Array:
        """The weight of each row's text, 0 for none."""
        import numpy as np

        if not len(weights):
            return np.zeros(len(self.text))
        return np.where(self.text >= 0, weights[self.text], 0)

    def rows(self, place: Array, text: Array) -> tuple[Array, Array]:
        """Pairs of place and row, for each row that has the text beside the place."""
        import numpy as np

        low = self._starts[text]
        times = np.minimum(self._starts[text + 1] - low, ROWS_OF_A_TEXT)
        return np.repeat(place, times), self._rows[_ranges(low, times)].astype(np.int64)

    def rows_of(self, text: int) -> list[int]:
        """Some of the rows that have a text."""
        low, high = self._starts[text], self._starts[text + 1]
        return [int(row) for row in self._rows[low : min(high, low + ROWS_OF_A_TEXT)]]


def _only(pairs: tuple[Array, Array], wanted: Array) -> tuple[Array, Array]:
    place, row = pairs
    return place[wanted[row]], row[wanted[row]]


def _codes(pairs: tuple[Array, Array], rows: int) -> Array:
    return pairs[0] * max(rows, 1) + pairs[1]


def _ranges(low: Array, times: Array) -> Array:
    """low, low + 1 … for each of `times`, one after the other."""
    import numpy as np

    return np.repeat(low - np.cumsum(times) + times, times) + np.arange(times.sum())


class _Postings:
    """N-grams with the texts that have them."""

    def __init__(self, texts: pl.DataFrame) -> None:
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
        every = postings["ngrams"].to_numpy()
        self._text = postings["text"].to_numpy()
        self._is_own = ~postings["lent"].to_numpy()
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

    def weights(self, of_ngram: Array) -> tuple[Array, Array]:
        """The weight of each text, and of its n-grams that its context does not have."""
        import numpy as np

        weights = np.repeat(of_ngram, np.diff(self._starts)) / np.float32(_FULL_WEIGHT)
        every, own = (
            np.bincount(self._text, some, minlength=len(self._scale)) * self._scale
            for some in (weights, weights * self._is_own)
        )
        return every.astype(np.float32), own.astype(np.float32)

    def known(self, rows: Sequence[Sequence[str]]) -> Known:
        """The n-grams of rows that the index has.

        Args:
            rows: The plain texts of each row, its context first.
        """
        import numpy as np

        # As one text, as a row is trained on: a question may begin in its context.
        hashes, place = ngrams(["".join(row) for row in rows])
        starts = np.searchsorted(place, np.arange(len(rows)))
        contexts = np.fromiter((len(row[0]) for row in rows), dtype=np.int64, count=len(rows))
        end = np.arange(len(place)) - starts[place] + NGRAM
        in_context = end <= contexts[place]
        maybe = np.flatnonzero(self._may_hold[hashes >> self._shift])
        # Sorted look-ups stay in the processor's cache.
        maybe = maybe[np.argsort(hashes[maybe])]
        hashes, place, in_context = hashes[maybe], place[maybe], in_context[maybe]
        ngram = np.searchsorted(self.hashes, hashes)
        ngram[ngram == len(self.hashes)] = 0
        there = self.hashes[ngram] == hashes if len(self.hashes) else np.zeros(len(hashes), bool)
        ngram, place, in_context = ngram[there], place[there], in_context[there]
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
        posting = _ranges(low, times)
        text = self._text[posting]
        texts = len(self._scale)
        codes = np.repeat(place * texts, times) + text
        weight = np.repeat(background.of_ngram[ngram] / np.float32(_FULL_WEIGHT), times)
        weight *= self._scale[text]
        # Most texts share a word or two with a row. Sums over buckets of pairs tell which, without
        # sorting them.
        bits = min(len(codes).bit_length() + 1, _BUCKET_BITS)  # few for a draft, which comes alone
        bucket = codes.astype(np.uint64) * np.uint64(_MULTIPLIER) >> np.uint64(64 - bits)
        bucket = bucket.astype(np.int64)
        enough = np.bincount(bucket, weight, minlength=1 << bits) >= _LEAST_WEIGHT
        kept = np.flatnonzero(enough[bucket])
        codes, weight = codes[kept], weight[kept]
        order = np.argsort(codes, kind="stable")
        codes, weight = codes[order], weight[order]
        firsts = np.flatnonzero(np.diff(codes, prepend=-1))
        asked = weight * np.repeat(is_asked, times)[kept][order]
        own = weight * self._is_own[posting[kept][order]]
        pair_place, pair_text = np.divmod(codes[firsts], max(texts, 1))
        if not len(firsts):
            return Shares(pair_place, pair_text, weight, asked, own)
        return Shares(
            pair_place,
            pair_text,
            np.add.reduceat(weight, firsts),
            np.add.reduceat(asked, firsts),
            np.add.reduceat(own, firsts),
        )
