"""The index of all held-out rows that rows are tested against; it is searched in batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from more_itertools import chunked

from sdg_assets.heldout.candidates import (
    DISTINCTIVE,
    EVIDENCE,
    Candidate,
    PartOverlap,
    SharedContext,
    score,
)
from sdg_assets.heldout.fingerprints import plain_texts_of
from sdg_assets.heldout.groups import ROWS_OF_A_TEXT, Part, RowsByKey
from sdg_assets.heldout.overlap import Overlap, TextOverlap
from sdg_assets.heldout.postings import Postings
from sdg_assets.heldout.tables import HeldoutTables
from sdg_assets.heldout.weights import Background, ngram_weights
from sdg_assets.records import Example

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# A question that a table asks with more contexts or sets of choices than this is a stem ("What is
# the main idea of the passage?").
STEM_SETTINGS = 2
PARTS = ("question", "choices", "context")
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class HeldoutRow:
    """The stored data of a held-out row; the columns of `rows_schema`."""

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
    """Number of contexts and sets of choices with which its table asks this question."""


# Columns in the order of the fields above.
_COLUMNS = [column.name for column in fields(HeldoutRow)][1:]


class HeldoutIndex:
    """Held-out rows of any number of benchmarks.

    Memory: about 32 bytes per stored n-gram (at most 2 KiB per text) and 200 per row; three times
    that while the index is built. A background takes 1 byte per n-gram and 8 per text.
    """

    def __init__(self, tables: Mapping[str, HeldoutTables]) -> None:
        """Builds the index from the hashes of several benchmarks.

        Args:
            tables: Name of a benchmark, or `task/subtask` → its hashes.
        """
        import numpy as np
        import polars as pl

        joined = HeldoutTables.joined(tables.values())
        self._names = np.array([*tables], dtype=object)
        self._ends = np.cumsum([len(t.rows) for t in tables.values()], dtype=np.int64)
        settings = [
            t.rows.select(pl.col("item").n_unique().over("question")).to_series()
            for t in tables.values()
        ]
        self._rows = joined.rows.with_columns(
            settings=pl.concat([pl.Series(dtype=pl.UInt32), *settings])
        )
        self._row_data = self._rows.select(_COLUMNS)
        self._has_many_settings = self._rows["settings"].to_numpy() > STEM_SETTINGS
        # A question in this many settings is boilerplate: equal questions are not even compared.
        self._is_boilerplate = self._rows["settings"].to_numpy() > ROWS_OF_A_TEXT
        texts = joined.texts.unique("key", maintain_order=True).sort("key")
        self._texts = texts["key"].to_numpy()
        self._words = texts["words"].to_numpy()
        self._lengths = texts["length"].to_numpy()
        self._postings = Postings(texts)
        self._items = RowsByKey(self._rows["item"].to_numpy())
        self._question_keys = self._rows["question"].to_numpy()
        self._questions = RowsByKey(self._question_keys)
        self._parts = {part: Part(self._rows[part], self._texts) for part in PARTS}

    def __len__(self) -> int:
        """The number of held-out rows."""
        return len(self._rows)

    def sizes(self) -> dict[str, int]:
        """Benchmark → number of its rows."""
        import numpy as np

        counts = np.diff(self._ends, prepend=0).tolist()
        return dict(zip(self._names.tolist(), counts, strict=True))

    def background(self, rows: Iterable[Example] = ()) -> Background:
        """Learns from a subtask's training rows how distinctive each n-gram is.

        Args:
            rows: The training rows, or a sample of them; without rows, every n-gram counts as rare.
        """
        import numpy as np

        counts, total = np.zeros(len(self._postings.hashes), dtype=np.int64), 0
        for batch in chunked(rows, _ROWS_AT_ONCE):
            ngrams = self._postings.of_rows(plain_texts_of(batch))
            counts += np.bincount(ngrams.ngram, minlength=len(counts))
            total += len(batch)
        of_ngram = ngram_weights(counts, total)
        of_text, own = self._postings.text_weights(of_ngram)
        question = self._parts["question"].weights(of_text)
        is_stem = (question < DISTINCTIVE) | self._has_many_settings
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
            texts: The folded texts of each row, its context first.
            items: The rows' keys, from `item_key`.
            questions: The keys of the rows' questions.
            background: The weights for the rows' subtask.
            least: The smallest share of a candidate; equal rows and questions always count.
        """
        import numpy as np

        overlap = Overlap(self._postings, self._postings.of_rows(texts), background.of_ngram)
        needed = np.maximum(least * background.of_text, EVIDENCE)
        place, text, weight = overlap.reaching(needed)
        equal_items = self._items.pairs(items)
        pairs = [
            equal_items,
            _only(self._questions.pairs(questions), ~self._is_boilerplate),
            self._parts["question"].pairs(place, text),
            *(
                _only(self._parts[part].pairs(place, text), background.is_stem)
                for part in ("choices", "context")
            ),
        ]
        codes = np.unique(np.concatenate([self._codes(row_pairs) for row_pairs in pairs]))
        is_same_item = np.isin(codes, self._codes(equal_items))
        candidates = self._candidates(codes, is_same_item, questions, overlap, background, least)
        return candidates, self._shared(place, text, weight, background.of_text[text])

    def rows(self, positions: Iterable[int]) -> dict[int, HeldoutRow]:
        """The stored data of held-out rows, by their position in the index."""
        wanted = sorted(set(positions))
        rows = zip(self._benchmarks(wanted), self._row_data[wanted].rows(), strict=True)
        return {
            position: HeldoutRow(benchmark, *values)
            for position, (benchmark, values) in zip(wanted, rows, strict=True)
        }

    def _codes(self, pairs: tuple[Array, Array]) -> Array:
        """One number for each pair of a row's place and a held-out row's position."""
        place, row = pairs
        return place * max(len(self._rows), 1) + row

    def _candidates(
        self,
        codes: Array,
        is_same_item: Array,
        questions: Sequence[int],
        overlap: Overlap,
        background: Background,
        least: float,
    ) -> list[Candidate]:
        import numpy as np

        place, row = np.divmod(codes, max(len(self._rows), 1))
        is_same = np.array(questions, dtype=np.uint64)[place] == self._question_keys[row]
        is_stem = background.is_stem[row]
        question, choices, context = self._part_overlaps(place, row, overlap, background)
        scores = score(
            question,
            choices,
            context,
            self._parts["question"].weights(background.own, row),
            is_same=is_same,
            is_stem=is_stem,
            has_many_settings=self._has_many_settings[row],
        )
        share, in_context = scores.share, context.share
        question_text = self._parts["question"].text[row]
        boilerplate_free = question.weight / np.maximum(self._lengths[question_text], 1)
        words = self._words[question_text] * np.minimum(boilerplate_free, 1)
        is_equal = is_same_item | (is_same & ~self._is_boilerplate[row])
        kept = np.flatnonzero(is_equal | ((share >= least) & (scores.present >= EVIDENCE)))
        columns = (
            place[kept],
            row[kept],
            scores.weight[kept],
            np.minimum(share[kept], 1),
            is_stem[kept],
            in_context[kept],
            words[kept],
        )
        return [
            Candidate(*values)
            for values in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def _part_overlaps(
        self, place: Array, row: Array, overlap: Overlap, background: Background
    ) -> list[PartOverlap]:
        """How much of each of `PARTS` of the held-out rows the paired rows contain."""
        import numpy as np

        texts = [self._parts[part].text[row] for part in PARTS]
        parts = overlap.of(np.tile(place, len(PARTS)), np.concatenate(texts))
        columns = [
            np.split(column, len(PARTS))
            for column in (parts.anywhere, parts.outside_context, parts.own)
        ]
        weights = [self._parts[part].weights(background.of_text, row) for part in PARTS]
        return [
            PartOverlap(weight, TextOverlap(*values))
            for weight, *values in zip(weights, *columns, strict=True)
        ]

    def _shared(
        self, place: Array, text: Array, present: Array, weight: Array
    ) -> list[SharedContext]:
        import numpy as np

        part = self._parts["context"]
        at = np.flatnonzero(part.is_used[text])
        shared: dict[tuple[int, str], SharedContext] = {}
        for p, t, a, w in zip(place[at], text[at], present[at], weight[at], strict=True):
            context = SharedContext(
                place=int(p),
                benchmark="",
                key=int(self._texts[t]),
                words=int(self._words[t]),
                weight=float(w),
                share=min(float(a / w), 1.0),
            )
            for name in set(self._benchmarks(part.rows(int(t)))):
                best = shared.get((context.place, name))
                if best is None or best.share < context.share:
                    shared[context.place, name] = replace(context, benchmark=name)
        return list(shared.values())

    def _benchmarks(self, rows: Sequence[int] | Array) -> list[str]:
        """The benchmark, or `task/subtask`, of each given held-out row."""
        import numpy as np

        return list(self._names[np.searchsorted(self._ends, rows, "right")])


def _only(pairs: tuple[Array, Array], is_wanted: Array) -> tuple[Array, Array]:
    """The pairs whose held-out row is wanted (one bool per held-out row)."""
    place, row = pairs
    return place[is_wanted[row]], row[is_wanted[row]]
