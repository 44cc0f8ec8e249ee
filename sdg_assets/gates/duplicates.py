"""The last gate: no row repeats another row, word for word or nearly so.

It tests a set of rows and comes after the gates that test one row, so that no row is lost to a
duplicate that another gate refuses. It first compares the folded texts exactly, then by MinHash.
MinHash compares only rows with the same answer and the same numbers in the question: a question
with other numbers is a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING
from weakref import finalize

from more_itertools import chunked

from sdg_assets.gates.base import ROWS_PER_BATCH, Cost, GateSpec, Point
from sdg_assets.records import Example, Refusal, Stage
from sdg_assets.signatures.refusals import EXACT, GATE_NAME, NEAR, verdict
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets.store.disk import SCRATCH, temporary_directory

# The catalog asks each gate for its thresholds, so the search code is imported with the first row.
if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from sdg_assets.signatures.pairs import Copies, Indices
    from sdg_assets.signatures.scratch import Scratch
    from sdg_assets.signatures.search import RankedSignatures
    from sdg_assets.signatures.table import Signatures

    Ranked = Callable[[pl.DataFrame, Indices], RankedSignatures]

NAME = GATE_NAME


class Duplicates:
    """Collects the rows of a set, then says which of them are duplicates.

    Of several duplicates, the row with the largest vote share stays; if equal, the one with the
    best judge score, then the one with the smallest id. So the result depends only on the rows.
    """

    def __init__(
        self, seeds: Iterable[Example] = (), thresholds: DuplicateThresholds | None = None
    ) -> None:
        """Signs the seeds: a row that repeats a seed is a duplicate, too.

        Signatures are kept in files, 250 bytes a row; memory holds 80 bytes a row.

        Args:
            seeds: The partition's seeds, read twice. They also show the boilerplate words that all
                rows share.
            thresholds: The similarity from which a row is a near duplicate.
        """
        from sdg_assets.signatures.minhash import boilerplate_of
        from sdg_assets.signatures.scratch import Scratch
        from sdg_assets.signatures.shingles import shingled

        self._thresholds = thresholds or DuplicateThresholds()
        directory = mkdtemp(prefix=SCRATCH, dir=temporary_directory())
        finalize(self, rmtree, directory, ignore_errors=True)
        self._scratch = Scratch(Path(directory))
        self._boilerplate = boilerplate_of(map(shingled, chunked(seeds, ROWS_PER_BATCH)))
        self._seeds = [self._signed(rows) for rows in chunked(seeds, ROWS_PER_BATCH)]
        self._rows: list[pl.DataFrame] = []
        self._verdicts: dict[int, Refusal] | None = None

    def add(self, rows: Sequence[Example]) -> None:
        """Adds rows to the set."""
        self._rows.append(self._signed(rows))
        self._verdicts = None

    def refusals(self) -> dict[int, Refusal]:
        """The refusal of each duplicate, by the position at which its row was added."""
        if self._verdicts is None:
            self._verdicts = self._search()
        return self._verdicts

    def signatures(self) -> Signatures:
        """The signatures of the rows that stay, in the order in which they were added."""
        from sdg_assets.signatures.table import Signatures, frame_of

        rows = frame_of(self._rows)
        left = _others(len(rows), self.refusals())
        places = len(self._scratch) - len(rows) + left
        return Signatures(rows[left], self._scratch.bands(places), *self._scratch.parts(places))

    def _signed(self, rows: Sequence[Example]) -> pl.DataFrame:
        from sdg_assets.signatures.table import sign

        signatures = sign(rows, self._boilerplate)
        self._scratch.add(signatures)
        return signatures.frame

    def _search(self) -> dict[int, Refusal]:
        from sdg_assets.signatures.table import frame_of

        seeds, rows = frame_of(self._seeds), frame_of(self._rows)
        refused: dict[int, Refusal] = {}
        if len(seeds):
            refused = _copies_of_seeds(seeds, rows, self._scratch, self._thresholds)
        left = _others(len(rows), refused)
        among = _among(rows[left], self._ranked(len(seeds) + left), self._thresholds)
        return refused | {int(left[place]): refusal for place, refusal in among.items()}

    def _ranked(self, places: Indices) -> Ranked:
        from sdg_assets.signatures.scratch import RankedScratch

        return lambda rows, order: RankedScratch(self._scratch, rows, places[order])


def copies_among(rows: Signatures, thresholds: DuplicateThresholds) -> dict[int, Refusal]:
    """The refusal of each row that duplicates a better one, by the row's position.

    Args:
        rows: Signatures of the rows.
        thresholds: The similarity from which a row is a near duplicate.

    Returns:
        An empty dict for the rows that an earlier search kept.
    """
    from sdg_assets.signatures.search import InMemory

    return _among(rows.frame, lambda _, order: InMemory(rows, order), thresholds)


def _among(
    frame: pl.DataFrame, ranked_by: Ranked, thresholds: DuplicateThresholds
) -> dict[int, Refusal]:
    """The same for rows whose matrices are elsewhere.

    Args:
        frame: The rows' frame.
        ranked_by: Returns the rows by rank, from their sorted frame and their order.
        thresholds: The similarity from which a row is a near duplicate.
    """
    import numpy as np

    from sdg_assets.signatures.search import exact_copies, near_copies, needed
    from sdg_assets.signatures.table import best_first

    order = best_first(frame)
    ids = frame["id"]
    ranked = ranked_by(frame[order], order)
    exact = exact_copies(ranked.exact)
    left = np.setdiff1d(np.arange(len(frame)), exact.rows)
    near = near_copies(ranked, left, needed(ranked.weak, [thresholds]))
    verdicts = {}
    for reason, copies in ((EXACT, exact), (NEAR, near)):
        for row, original, similarity in _each(copies):
            verdicts[int(order[row])] = verdict(reason, ids[int(order[original])], similarity)
    return verdicts


def _copies_of_seeds(
    seeds: pl.DataFrame, rows: pl.DataFrame, scratch: Scratch, thresholds: DuplicateThresholds
) -> dict[int, Refusal]:
    """The refusal of each row that repeats a seed, by the row's position.

    Args:
        seeds: The seeds' frame; their matrices are the first in the scratch.
        rows: The rows' frame; theirs follow.
        scratch: The matrices of both.
        thresholds: The similarity from which a row is a near duplicate.
    """
    import numpy as np
    import polars as pl

    from sdg_assets.signatures.scratch import RankedScratch
    from sdg_assets.signatures.search import exact_copies, near_copies, needed
    from sdg_assets.signatures.table import best_first

    order = best_first(seeds)
    ids = seeds["id"].gather(order)
    places = np.concatenate([order, np.arange(len(seeds), len(seeds) + len(rows))])
    ranked = RankedScratch(scratch, pl.concat([seeds[order], rows]), places)
    exact = exact_copies(ranked.exact)
    # Exact duplicates of a row are compared as well: if the row is refused because it is close to a
    # seed, so must they be.
    seed_copies = exact.rows[exact.originals < len(seeds)]
    left = np.setdiff1d(np.arange(len(seeds) + len(rows)), seed_copies)
    near = near_copies(ranked, left, needed(ranked.weak, [thresholds]), seeds=len(seeds))
    return {
        row - len(seeds): verdict(reason, f"seed {ids[original]}", similarity)
        for reason, copies in ((EXACT, exact), (NEAR, near))
        for row, original, similarity in _each(copies)
        if original < len(seeds) <= row
    }


def _others(rows: int, without: Iterable[int]) -> NDArray[np.int64]:
    import numpy as np

    return np.setdiff1d(np.arange(rows), np.fromiter(without, np.int64))


def _each(copies: Copies) -> Iterator[tuple[int, int, float]]:
    return zip(
        copies.rows.tolist(), copies.originals.tolist(), copies.similarities.tolist(), strict=True
    )


GATE = GateSpec(
    name=NAME,
    rank=90,
    cost=Cost.HASHES,
    points=frozenset({Point.SET}),
    thresholds=DuplicateThresholds,
    build_set=Duplicates,
    recheck=copies_among,
    checked_in=(Stage.FILTERED,),
    check="no_duplicates",
    description="no two rows ask the same question",
)
