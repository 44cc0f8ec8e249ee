"""The similarities from which a question duplicates another.

The gate `duplicates` owns these thresholds. They are declared in this lower layer because the
search across the partitions of a release uses them, too.
"""

from __future__ import annotations

from pydantic import Field

from sdg_assets.thresholds import OwnThresholds


class DuplicateThresholds(OwnThresholds):
    """Similarities of two questions, estimated from their signatures, 0 to 1."""

    near_duplicate_similarity: float = Field(
        default=0.5,
        ge=0.5,
        le=1,
        description="estimated similarity from which a question with the same answer and numbers "
        "as another is its duplicate",
    )
    near_duplicate_similarity_weak_answer: float = Field(
        default=0.6,
        ge=0.5,
        le=1,
        description="the same for answers that carry little information: booleans, labels, code, "
        "free form",
    )
