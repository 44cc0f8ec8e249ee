"""Stage 5: applies the gates in order. A row that passes all of them may be released."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from more_itertools import chunked

from sdg_assets.gates import Gate, SetGate, first_refusals
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.records import EnrichedExample, Refusal, Rejection


def filter_rows(
    read: Callable[[], Iterable[EnrichedExample]],
    gates: Sequence[Gate],
    sets: Sequence[SetGate],
) -> Iterator[EnrichedExample | Rejection]:
    """Tests each row with the gates until one refuses it.

    Args:
        read: Streams the rows of `enriched`. Called once per gate over the set, and once more at
            the end, so that only one batch of rows is in memory.
        gates: The gates that test single rows, in order.
        sets: The gates that test all remaining rows as a set, in order; at least one.

    Yields:
        The row, or its `Rejection` by the first gate that refused it, in the order of the rows.
    """
    refusals: list[Refusal | None] = []
    first, *others = sets
    for rows in chunked(read(), ROWS_PER_BATCH):
        refused = first_refusals(rows, gates)
        first.add([row for place, row in enumerate(rows) if place not in refused])
        refusals += [refused.get(place) for place in range(len(rows))]
    _add_refusals(refusals, first)
    # A set gate gets only rows that no earlier gate refused: a refused row must not have its copy
    # refused, too.
    for over_set in others:
        places = iter(range(len(refusals)))
        for rows in chunked(read(), ROWS_PER_BATCH):
            over_set.add(
                [row for row, place in zip(rows, places, strict=False) if not refusals[place]]
            )
        _add_refusals(refusals, over_set)
    for row, refusal in zip(read(), refusals, strict=True):
        yield refusal.rejection(row) if refusal else row


def _add_refusals(refusals: list[Refusal | None], over_set: SetGate) -> None:
    """Adds a set gate's refusals. The gate counts only the rows that were not refused before."""
    tested = [place for place, refusal in enumerate(refusals) if refusal is None]
    for place, refusal in over_set.refusals().items():
        refusals[tested[place]] = refusal
