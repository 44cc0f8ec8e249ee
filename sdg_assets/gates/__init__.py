"""One module a gate. Those that look at one row come first, the cheapest first; then duplicates."""

from __future__ import annotations

from sdg_assets.gates import (
    contamination,
    duplicates,
    format,  # noqa: A004
    licence,
    schema,
    verification,
)
from sdg_assets.gates.base import Batch, Gate, Refusal, first_refusals
from sdg_assets.thresholds import Thresholds

__all__ = ["ORDER", "Batch", "Gate", "Refusal", "draft_gates", "first_refusals", "row_gates"]

ORDER = (
    schema.NAME,
    format.NAME,
    contamination.NAME,
    verification.NAME,
    licence.NAME,
    duplicates.NAME,
)


def draft_gates(thresholds: Thresholds) -> list[Gate]:
    """The gates that a writer's draft goes through as soon as it is read.

    Args:
        thresholds: Where they draw their lines.
    """
    return [schema.GATE, format.gate(thresholds)]


def row_gates(thresholds: Thresholds, heldout: Gate | None = None) -> list[Gate]:
    """All gates that look at one row, in order.

    Args:
        thresholds: Where they draw their lines.
        heldout: The contamination gate; None only where what passes is counted, not kept.
    """
    return [
        *draft_gates(thresholds),
        *([heldout] if heldout else []),
        verification.GATE,
        licence.GATE,
    ]
