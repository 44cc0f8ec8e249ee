"""How a copy is refused, whether it was found in one partition or across all of a release."""

from __future__ import annotations

from sdg_assets.records import Refusal

GATE_NAME = "duplicates"
EXACT = "exact duplicate"
NEAR = "near duplicate"
SIMILARITY = "similarity"


def verdict(reason: str, original: str, similarity: float) -> Refusal:
    """The refusal of a copy.

    Args:
        reason: `EXACT` or `NEAR`.
        original: What it is a copy of.
        similarity: How alike the two are, 0 to 1.
    """
    return Refusal(GATE_NAME, reason, original, {SIMILARITY: round(similarity, 3)})
