"""Stage 5: the gates, in order. What passes all of them is fit to be released."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sdg_assets.examples import EnrichedExample, Example, Rejection
from sdg_assets.gates import partition_gates


def filter_rows(
    rows: Iterable[EnrichedExample], seeds: Iterable[Example]
) -> Iterator[EnrichedExample | Rejection]:
    """Puts each row through the gates until one refuses it.

    Args:
        rows: Rows of `enriched`.
        seeds: The partition's normalized examples: a copy of one is a duplicate.

    Yields:
        The row, or its `Rejection` by the first gate that refused it, in the order of `rows`.
    """
    gates = partition_gates(seeds)
    for row in rows:
        refusal = next((verdict for gate in gates if (verdict := gate(row))), None)
        yield refusal.rejection(row) if refusal else row
