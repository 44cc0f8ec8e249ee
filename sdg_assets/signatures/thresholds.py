"""From which similarity on a question is a copy of another.

The gate `duplicates` owns these thresholds. They are declared here, below it, because a release's
search across partitions asks for them too.
"""

from __future__ import annotations

from pydantic import Field

from sdg_assets.thresholds import OwnThresholds


class DuplicateThresholds(OwnThresholds):
    """Similarities of two questions, estimated from their signatures: 0 to 1."""

    near_duplicate_similarity: float = Field(
        default=0.5,
        ge=0.5,
        le=1,
        description="estimated similarity of two questions with equal answers and numbers from "
        "which one is a copy",
    )
    near_duplicate_similarity_weak_answer: float = Field(
        default=0.6,
        ge=0.5,
        le=1,
        description="the same for answers that say little: booleans, labels, code, free form",
    )
