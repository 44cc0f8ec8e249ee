"""One module a gate. Those that look at one row come first, the cheapest first; then duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sdg_assets.gates import (
    contamination,
    duplicates,
    format,  # noqa: A004
    judge,
    language,
    licence,
    personal_data,
    schema,
    verification,
)
from sdg_assets.gates.base import Batch, Gate, first_refusals
from sdg_assets.records import Example, Refusal
from sdg_assets.thresholds import Thresholds

__all__ = [
    "ORDER",
    "Batch",
    "Gate",
    "Refusal",
    "draft_gates",
    "first_refusals",
    "misread",
    "row_gates",
    "seed_gates",
    "text_gates",
]

ORDER = (
    schema.NAME,
    format.NAME,
    language.NAME,
    personal_data.NAME,
    contamination.NAME,
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
    return [schema.GATE, *text_gates(thresholds), personal_data.gate(thresholds)]


def seed_gates(thresholds: Thresholds) -> list[Gate]:
    """The gates that a dataset's own row must pass to be written after.

    Args:
        thresholds: Where they draw their lines.
    """
    return [schema.GATE, *text_gates(thresholds)]


def text_gates(thresholds: Thresholds) -> list[Gate]:
    """The gates that look at how a row reads.

    Args:
        thresholds: Where they draw their lines.
    """
    return [format.gate(thresholds), language.gate(thresholds)]


def misread(texts: Sequence[str], row: Example, gates: Iterable[Gate]) -> dict[int, Refusal]:
    """What is wrong with texts that were written for a row: each stands in as its context.

    Args:
        texts: Traces, backgrounds.
        row: The row, which passes the gates itself.
        gates: `text_gates`.

    Returns:
        Position of a text → the verdict on it.
    """
    return first_refusals([row.model_copy(update={"context": text}) for text in texts], gates)


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
        judge.gate(thresholds),
        licence.GATE,
    ]
