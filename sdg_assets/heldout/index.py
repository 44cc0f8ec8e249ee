"""All held-out hashes that rows are gated against, in sorted arrays, looked up by the batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sdg_assets.heldout.fingerprints import Fingerprint, Part, Runs
from sdg_assets.heldout.tables import FRAME_WEIGHT, MIN_WEIGHT, HeldoutTables

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]
    Pairs = dict[tuple[int, int], tuple[float, float]]

# A question that more rows of a benchmark have is a frame, unless its words are rare.
_FRAME_ROWS = 2
# Bits a hash in the filter that answers most look-ups from the processor's cache.
_FILTER_BITS = 8


@dataclass(frozen=True)
class HeldoutRow:
    """What is known of a held-out row; the columns of `rows_schema`."""

    benchmark: str
    item: int
    wording: int
    question: int
    context: int
    choices: int
    answer: int
    numbers: list[int]
    common: bool
    letters: int
    question_weight: float
    weight: float


@dataclass(frozen=True)
class HeldoutContext:
    """What is known of a held-out context; the columns of `contexts_schema`."""

    benchmark: str
    context: int
    words: int
    weight: float


@dataclass(frozen=True)
class Resemblance:
    """A row of a batch that resembles a held-out row.

    The shares are of the weight of the held-out runs: `asked`, that stand in the row's question and
    choices; `anywhere`, in any part of it.
    """

    place: int
    heldout: HeldoutRow
    asked: float
    anywhere: float


@dataclass(frozen=True)
class SharedContext:
    """A row of a batch that shares a held-out context: the share of its runs found in the row."""

    place: int
    heldout: HeldoutContext
    contained: float


class HeldoutIndex:
    """Held-out rows of any number of benchmarks.

    Memory: 13 bytes a stored run and 100 a row; three times that while it is built.
    """

    def __init__(self, tables: Mapping[str, HeldoutTables]) -> None:
        """Joins the hashes of several benchmarks.

        Args:
            tables: Name of a benchmark, or `task/subtask` → its hashes.
        """
        import polars as pl

        joined = HeldoutTables.joined(tables.values())
        self._rows = _Facts(joined.rows, {name: len(t.rows) for name, t in tables.items()})
        self._contexts = _Facts(
            joined.contexts, {name: len(t.contexts) for name, t in tables.items()}
        )
        rows, contexts = joined.rows, joined.contexts
        # Of rows that are equal one is enough; a question that is its task's frame finds none.
        self._items = _Keys(rows["item"], rows["item"].is_first_distinct())
        times = [
            table.rows.select(pl.len().over("question")).to_series() for table in tables.values()
        ]
        rare = pl.concat([pl.Series(dtype=pl.UInt32), *times]) <= _FRAME_ROWS
        self._questions = _Keys(rows["question"], rare | (rows["question_weight"] >= FRAME_WEIGHT))
        self._passages = _Keys(contexts["context"], contexts["context"].is_first_distinct())
        self._row_runs, self._context_runs = _Postings(rows), _Postings(contexts)

    def __len__(self) -> int:
        """Held-out rows."""
        return len(self._rows)

    def resemblances(
        self, prints: Sequence[Fingerprint], runs: Runs, least: float, slack: float
    ) -> Iterator[Resemblance]:
        """The held-out rows that rows of a batch resemble.

        Args:
            prints: The batch's rows.
            runs: Theirs.
            least: The share from which rows that have not the same question count.
            slack: How much more that is for a short one: divided by its weight, added to `least`.
        """
        found = self._row_runs.contained(runs, least, slack)
        exact = {
            pair
            for keys, name in ((self._items, "item"), (self._questions, "question"))
            for pair in keys.pairs([getattr(p, name) for p in prints])
        }
        for place, at in sorted(exact | found.keys()):
            asked, anywhere = found.get((place, at), (0.0, 0.0))
            yield Resemblance(place, HeldoutRow(**self._rows[at]), asked, anywhere)

    def shared_contexts(
        self, prints: Sequence[Fingerprint], runs: Runs, least: float
    ) -> Iterator[SharedContext]:
        """The held-out contexts that rows of a batch share.

        Args:
            prints: The batch's rows.
            runs: Theirs.
            least: The share from which contexts that are not equal count.
        """
        found = self._context_runs.contained(runs, least, 0.0)
        exact = set(self._passages.pairs([p.context for p in prints]))
        for place, at in sorted(exact | found.keys()):
            _, anywhere = found.get((place, at), (0.0, 0.0))
            yield SharedContext(
                place,
                HeldoutContext(**self._contexts[at]),
                1.0 if (place, at) in exact else anywhere,
            )


class _Facts:
    """Rows of a table, with the benchmark that each belongs to."""

    def __init__(self, table: pl.DataFrame, lengths: Mapping[str, int]) -> None:
        import numpy as np

        self._names = list(lengths)
        self._ends = np.cumsum(list(lengths.values()), dtype=np.int64)
        self._facts = table.drop("runs", "weights")

    def __len__(self) -> int:
        return len(self._facts)

    def __getitem__(self, at: int) -> dict[str, Any]:
        import numpy as np

        owner = int(np.searchsorted(self._ends, at, "right"))
        return {"benchmark": self._names[owner], **self._facts.row(at, named=True)}


class _Keys:
    """Hashes that are found as a whole. 0 stands for none and is not found."""

    def __init__(self, keys: pl.Series, sought: pl.Series) -> None:
        import numpy as np

        rows = np.flatnonzero((sought & (keys != 0)).to_numpy())
        values = keys.to_numpy()[rows]
        order = np.argsort(values, kind="stable")
        self._rows, self._keys = rows[order].astype(np.uint32), values[order]

    def pairs(self, keys: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Position in `keys` and row, where they are equal."""
        import numpy as np

        asked = np.array(keys, dtype=np.uint64)
        low = np.searchsorted(self._keys, asked, "left")
        high = np.searchsorted(self._keys, asked, "right")
        for place in np.flatnonzero(high > low):
            for at in self._rows[low[place] : high[place]]:
                yield int(place), int(at)


class _Postings:
    """Runs of words with the rows that have them."""

    def __init__(self, table: pl.DataFrame) -> None:
        import numpy as np
        import polars as pl

        postings = (
            table.lazy()
            .select("runs", "weights")
            .with_row_index("row")
            .filter((pl.col("runs").list.len() > 0) & (table["weight"] >= MIN_WEIGHT))
            .explode("runs", "weights")
            .sort("runs", "row")
            .collect()
        )
        self._hash = postings["runs"].to_numpy()
        self._row = postings["row"].to_numpy()
        self._weight = postings["weights"].to_numpy()
        self._lightness = np.reciprocal(np.maximum(table["weight"].to_numpy(), 1))
        self._of = np.bincount(self._row, self._weight, minlength=len(table)).astype(np.float32)
        # One bit for each value of a hash's first bits says no for most of what is not there.
        bits = max(16, (max(len(self._hash), 1) * _FILTER_BITS - 1).bit_length())
        self._shift = np.uint64(64 - bits)
        self._may_hold = np.zeros(1 << bits, dtype=bool)
        self._may_hold[self._hash >> self._shift] = True

    def contained(self, runs: Runs, least: float, slack: float) -> Pairs:
        """Place in the batch and row → the shares of the row's runs that the batch's row has.

        In its question and choices, and in any part of it; pairs below `least`, and `slack` divided
        by the row's weight, are left out.
        """
        import numpy as np

        known = np.flatnonzero(self._may_hold[runs.hashes >> self._shift])
        known = known[np.argsort(runs.hashes[known])]
        hashes = runs.hashes[known]
        low = np.searchsorted(self._hash, hashes, "left")
        times = np.searchsorted(self._hash, hashes, "right") - low
        there = times > 0
        known, low, times = known[there], low[there], times[there]
        if not len(known):
            return {}
        posting = np.repeat(low - np.cumsum(times) + times, times) + np.arange(times.sum())
        run = np.repeat(known, times)
        row = self._row[posting].astype(np.int64)
        pairs, pair = np.unique(runs.row[run] * len(self._of) + row, return_inverse=True)
        places, rows = np.divmod(pairs, len(self._of))
        weight = self._weight[posting]
        anywhere = np.bincount(pair, weight) / self._of[rows]
        asked = np.bincount(pair, weight * (runs.part[run] != Part.CONTEXT)) / self._of[rows]
        return {
            (int(places[at]), int(rows[at])): (float(asked[at]), float(anywhere[at]))
            for at in np.flatnonzero(anywhere >= least + slack * self._lightness[rows])
        }
