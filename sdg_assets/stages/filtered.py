"""Stage 5: the gates, in order. What passes all of them is fit to be released."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from sdg_assets.gates import Gate, first_refusals
from sdg_assets.gates.base import batches
from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.records import EnrichedExample, Refusal, Rejection


def filter_rows(
    read: Callable[[], Iterable[EnrichedExample]], gates: Sequence[Gate], duplicates: Duplicates
) -> Iterator[EnrichedExample | Rejection]:
    """Puts each row through the gates until one refuses it.

    Args:
        read: Streams the rows of `enriched`; called twice, so that no more than a batch of them
            is in memory.
        gates: Those that look at one row, in order.
        duplicates: Takes the rows that pass them; knows the partition's seeds.

    Yields:
        The row, or its `Rejection` by the first gate that refused it, in the order of the rows.
    """
    verdicts: list[Refusal | None] = []
    passed: list[int] = []
    for rows in batches(read()):
        refused = first_refusals(rows, gates)
        places = [place for place in range(len(rows)) if place not in refused]
        duplicates.add([rows[place] for place in places])
        passed += [len(verdicts) + place for place in places]
        verdicts += [refused.get(place) for place in range(len(rows))]
    for place, refusal in duplicates.refusals().items():
        verdicts[passed[place]] = refusal
    for row, verdict in zip(read(), verdicts, strict=True):
        yield verdict.rejection(row) if verdict else row
