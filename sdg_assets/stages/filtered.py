"""Stage 5: the gates, in order. What passes all of them is fit to be released."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from sdg_assets.gates import Gate, SetGate, first_refusals
from sdg_assets.gates.base import batches
from sdg_assets.records import EnrichedExample, Refusal, Rejection


def filter_rows(
    read: Callable[[], Iterable[EnrichedExample]],
    gates: Sequence[Gate],
    sets: Sequence[SetGate],
) -> Iterator[EnrichedExample | Rejection]:
    """Puts each row through the gates until one refuses it.

    Args:
        read: Streams the rows of `enriched`; called once and once more for each gate over the set,
            so that no more than a batch of rows is in memory.
        gates: Those that look at one row, in order.
        sets: Those that look at the rows that pass the others, in order; at least one.

    Yields:
        The row, or its `Rejection` by the first gate that refused it, in the order of the rows.
    """
    verdicts: list[Refusal | None] = []
    first, *others = sets
    for rows in batches(read()):
        refused = first_refusals(rows, gates)
        first.add([row for place, row in enumerate(rows) if place not in refused])
        verdicts += [refused.get(place) for place in range(len(rows))]
    _note(verdicts, first)
    for over_set in others:  # a row that an earlier one refuses must not refuse its twin here
        places = iter(range(len(verdicts)))
        for rows in batches(read()):
            over_set.add(
                [row for row, place in zip(rows, places, strict=False) if not verdicts[place]]
            )
        _note(verdicts, over_set)
    for row, verdict in zip(read(), verdicts, strict=True):
        yield verdict.rejection(row) if verdict else row


def _note(verdicts: list[Refusal | None], over_set: SetGate) -> None:
    """Adds the verdicts of a gate on the rows that had none, which are the rows that it took."""
    taken = [place for place, verdict in enumerate(verdicts) if verdict is None]
    for place, refusal in over_set.refusals().items():
        verdicts[taken[place]] = refusal
