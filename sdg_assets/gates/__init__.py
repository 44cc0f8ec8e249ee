"""One module a gate; the order is the cheapest first."""

from __future__ import annotations

from collections.abc import Iterable

from sdg_assets.examples import Example
from sdg_assets.gates import duplicates, format, licence, schema, verification  # noqa: A004
from sdg_assets.gates.base import Gate, Refusal

__all__ = ["Gate", "Refusal", "partition_gates"]

ORDER = (schema.NAME, format.NAME, duplicates.NAME, verification.NAME, licence.NAME)


def partition_gates(seeds: Iterable[Example] = ()) -> list[Gate]:
    """Fresh gates for one partition, in order.

    Args:
        seeds: The partition's seeds: a copy of one is a duplicate.
    """
    return [
        schema.GATE,
        format.GATE,
        duplicates.DuplicatesGate(seeds),
        verification.GATE,
        licence.GATE,
    ]
