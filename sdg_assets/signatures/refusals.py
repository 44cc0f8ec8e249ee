"""The refusal of a duplicate, for the gate in one partition and for the search across a release."""

from __future__ import annotations

from sdg_assets.records import Refusal

GATE_NAME = "duplicates"
EXACT = "exact duplicate"
NEAR = "near duplicate"
SIMILARITY = "similarity"


def verdict(reason: str, original: str, similarity: float) -> Refusal:
    """Makes the refusal of a duplicate.

    Args:
        reason: `EXACT` or `NEAR`.
        original: Names the row that it duplicates.
        similarity: The similarity of the two, 0 to 1.
    """
    return Refusal(GATE_NAME, reason, original, {SIMILARITY: round(similarity, 3)})
