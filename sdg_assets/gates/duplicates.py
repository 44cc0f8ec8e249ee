"""The last gate: a row says what no other row says, nor almost.

It looks at a set of rows, so it comes after the gates that look at one: no row is lost to a twin
that another gate refuses. Exact on normalized text first; then MinHash among rows that have the
same answer and the same numbers in the question, for a question with other numbers is a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from sdg_assets.gates.base import Cost, GateSpec, Point, batches
from sdg_assets.records import Example, Refusal, Stage
from sdg_assets.signatures.refusals import EXACT, GATE_NAME, NEAR, verdict
from sdg_assets.signatures.thresholds import DuplicateThresholds

# The catalog asks each gate for its thresholds: what searches rows is imported with the first row.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sdg_assets.signatures.pairs import Copies
    from sdg_assets.signatures.table import Signatures

NAME = GATE_NAME


class Duplicates:
    """Takes the rows of a set and says in the end which of them are copies.

    Of several copies the one with the largest share of votes stays, then the one that the judge
    scored best, then the one with the smallest id: which one it is depends on nothing but the rows.
    """

    def __init__(
        self, seeds: Iterable[Example] = (), thresholds: DuplicateThresholds | None = None
    ) -> None:
        """Starts with the seeds: a copy of one is not new.

        Args:
            seeds: Of the partition. They also show its frame, the words that all its rows share.
            thresholds: Where a near copy begins.
        """
        from sdg_assets.signatures.minhash import frame_of
        from sdg_assets.signatures.shingles import shingled
        from sdg_assets.signatures.table import concatenated, sign

        cut = [(rows, shingled(rows)) for rows in batches(seeds)]
        self._thresholds = thresholds or DuplicateThresholds()
        self._frame = frame_of([hashes for _, hashes in cut])
        self._seeds = concatenated(sign(rows, self._frame, hashes) for rows, hashes in cut)
        self._signed: list[Signatures] = []
        self._verdicts: dict[int, Refusal] | None = None

    def add(self, rows: Sequence[Example]) -> None:
        """Takes more rows of the set."""
        from sdg_assets.signatures.table import sign

        self._signed.append(sign(rows, self._frame))
        self._verdicts = None

    def refusals(self) -> dict[int, Refusal]:
        """The verdict on each copy, by the place at which its row was added."""
        from sdg_assets.signatures.table import concatenated

        if self._verdicts is None:
            self._verdicts = self._search(concatenated(self._signed))
        return self._verdicts

    def signatures(self) -> Signatures:
        """Those of the rows that stay, in the order in which they were added."""
        from sdg_assets.signatures.table import concatenated

        rows = concatenated(self._signed)
        return rows.take(_others(len(rows), self.refusals()))

    def _search(self, rows: Signatures) -> dict[int, Refusal]:
        known: dict[int, Refusal] = {}
        if len(self._seeds):
            known = _copies_of_seeds(self._seeds, rows, self._thresholds)
        left = _others(len(rows), known)
        among = copies_among(rows.take(left), self._thresholds)
        return known | {int(left[place]): refusal for place, refusal in among.items()}


def copies_among(rows: Signatures, thresholds: DuplicateThresholds) -> dict[int, Refusal]:
    """The verdict on each row that is a copy of a better one, by its place.

    Args:
        rows: Signatures of the rows.
        thresholds: Where a near copy begins.

    Returns:
        Nothing for rows that were left by an earlier search.
    """
    import numpy as np

    from sdg_assets.signatures.search import InMemory, exact_copies, near_copies, needed
    from sdg_assets.signatures.table import by_standing

    order = by_standing(rows.frame)
    ids = rows.frame["id"]
    standing = InMemory(rows.take(order))
    exact = exact_copies(standing.exact)
    left = np.setdiff1d(np.arange(len(rows)), exact.rows)
    near = near_copies(standing, left, needed(standing.weak, [thresholds]))
    verdicts = {}
    for reason, copies in ((EXACT, exact), (NEAR, near)):
        for row, original, alike in _each(copies):
            verdicts[int(order[row])] = verdict(reason, ids[int(order[original])], alike)
    return verdicts


def _copies_of_seeds(
    seeds: Signatures, rows: Signatures, thresholds: DuplicateThresholds
) -> dict[int, Refusal]:
    import numpy as np

    from sdg_assets.signatures.search import InMemory, exact_copies, near_copies, needed
    from sdg_assets.signatures.table import by_standing, concatenated

    order = by_standing(seeds.frame)
    ids = seeds.frame["id"].gather(order)
    standing = InMemory(concatenated([seeds.take(order), rows]))
    exact = exact_copies(standing.exact)
    # A row's twin is compared as well: should the row go as a copy of a seed, so must the twin.
    known = exact.rows[exact.originals < len(seeds)]
    left = np.setdiff1d(np.arange(len(seeds) + len(rows)), known)
    near = near_copies(standing, left, needed(standing.weak, [thresholds]), seeds=len(seeds))
    return {
        row - len(seeds): verdict(reason, f"seed {ids[original]}", alike)
        for reason, copies in ((EXACT, exact), (NEAR, near))
        for row, original, alike in _each(copies)
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
    description="no two rows ask the same",
)
