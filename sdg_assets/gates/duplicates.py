"""The last gate: no row repeats another row, word for word or nearly so.

It tests a set of rows and comes after the gates that test one row, so that no row is lost to a
duplicate that another gate refuses. It first compares the folded texts exactly, then by MinHash.
MinHash compares only rows with the same answer and the same numbers in the question: a question
with other numbers is a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from more_itertools import chunked

from sdg_assets.gates.base import ROWS_PER_BATCH, Cost, GateSpec, Point
from sdg_assets.records import Example, Refusal, Stage
from sdg_assets.signatures.refusals import EXACT, GATE_NAME, NEAR, verdict
from sdg_assets.signatures.thresholds import DuplicateThresholds

# The catalog asks each gate for its thresholds, so the search code is imported with the first row.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sdg_assets.signatures.pairs import Copies
    from sdg_assets.signatures.table import Signatures

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

        Args:
            seeds: The partition's seeds. They also show the boilerplate words that all rows share.
            thresholds: The similarity from which a row is a near duplicate.
        """
        from sdg_assets.signatures.minhash import boilerplate_of
        from sdg_assets.signatures.shingles import shingled
        from sdg_assets.signatures.table import concatenated, sign

        hashed = [(rows, shingled(rows)) for rows in chunked(seeds, ROWS_PER_BATCH)]
        self._thresholds = thresholds or DuplicateThresholds()
        self._boilerplate = boilerplate_of([hashes for _, hashes in hashed])
        self._seeds = concatenated(sign(rows, self._boilerplate, hashes) for rows, hashes in hashed)
        self._signed: list[Signatures] = []
        self._verdicts: dict[int, Refusal] | None = None

    def add(self, rows: Sequence[Example]) -> None:
        """Adds rows to the set."""
        from sdg_assets.signatures.table import sign

        self._signed.append(sign(rows, self._boilerplate))
        self._verdicts = None

    def refusals(self) -> dict[int, Refusal]:
        """The refusal of each duplicate, by the position at which its row was added."""
        from sdg_assets.signatures.table import concatenated

        if self._verdicts is None:
            self._verdicts = self._search(concatenated(self._signed))
        return self._verdicts

    def signatures(self) -> Signatures:
        """The signatures of the rows that stay, in the order in which they were added."""
        from sdg_assets.signatures.table import concatenated

        rows = concatenated(self._signed)
        return rows.take(_others(len(rows), self.refusals()))

    def _search(self, rows: Signatures) -> dict[int, Refusal]:
        refused: dict[int, Refusal] = {}
        if len(self._seeds):
            refused = _copies_of_seeds(self._seeds, rows, self._thresholds)
        left = _others(len(rows), refused)
        among = copies_among(rows.take(left), self._thresholds)
        return refused | {int(left[place]): refusal for place, refusal in among.items()}


def copies_among(rows: Signatures, thresholds: DuplicateThresholds) -> dict[int, Refusal]:
    """The refusal of each row that duplicates a better one, by the row's position.

    Args:
        rows: Signatures of the rows.
        thresholds: The similarity from which a row is a near duplicate.

    Returns:
        An empty dict for the rows that an earlier search kept.
    """
    import numpy as np

    from sdg_assets.signatures.search import InMemory, exact_copies, near_copies, needed
    from sdg_assets.signatures.table import best_first

    order = best_first(rows.frame)
    ids = rows.frame["id"]
    ranked = InMemory(rows.take(order))
    exact = exact_copies(ranked.exact)
    left = np.setdiff1d(np.arange(len(rows)), exact.rows)
    near = near_copies(ranked, left, needed(ranked.weak, [thresholds]))
    verdicts = {}
    for reason, copies in ((EXACT, exact), (NEAR, near)):
        for row, original, similarity in _each(copies):
            verdicts[int(order[row])] = verdict(reason, ids[int(order[original])], similarity)
    return verdicts


def _copies_of_seeds(
    seeds: Signatures, rows: Signatures, thresholds: DuplicateThresholds
) -> dict[int, Refusal]:
    import numpy as np

    from sdg_assets.signatures.search import InMemory, exact_copies, near_copies, needed
    from sdg_assets.signatures.table import best_first, concatenated

    order = best_first(seeds.frame)
    ids = seeds.frame["id"].gather(order)
    ranked = InMemory(concatenated([seeds.take(order), rows]))
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
