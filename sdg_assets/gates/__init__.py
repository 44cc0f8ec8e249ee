"""One module a gate. Those that look at one row come first, the cheapest first; then duplicates."""

from __future__ import annotations

from sdg_assets.gates import (
    duplicates,
    format,  # noqa: A004
    judge,
    language,
    licence,
    personal_data,
    schema,
    verification,
)
from sdg_assets.gates.base import Batch, Gate, Refusal, first_refusals
from sdg_assets.thresholds import Thresholds

__all__ = ["ORDER", "Batch", "Gate", "Refusal", "draft_gates", "first_refusals", "row_gates"]

ORDER = (
    schema.NAME,
    format.NAME,
    language.NAME,
    personal_data.NAME,
    verification.NAME,
    judge.NAME,
    licence.NAME,
    duplicates.NAME,
)


def draft_gates(thresholds: Thresholds) -> list[Gate]:
    """The gates that a writer's draft goes through as soon as it is read.

    Args:
        thresholds: Where they draw their lines.
    """
    return [
        schema.GATE,
        format.gate(thresholds),
        language.gate(thresholds),
        personal_data.gate(thresholds),
    ]


def row_gates(thresholds: Thresholds) -> list[Gate]:
    """All gates that look at one row, in order.

    Args:
        thresholds: Where they draw their lines.
    """
    return [
        *draft_gates(thresholds),
        verification.GATE,
        judge.gate(thresholds),
        licence.GATE,
    ]
