"""The configurations of a release: the parts that `datasets.load_dataset` reads by name."""

from __future__ import annotations

from dataclasses import dataclass

FAMILIES = {
    "multiple_choice": "the answer is one of the given choices",
    "generative": "the answer is written: a number, a span, a few words, prose or a program",
}
COMMERCIAL = "commercial"
"""The folder of the commercial subset, and the prefix of its configurations."""


@dataclass(frozen=True)
class Config:
    """A named configuration for `datasets.load_dataset`."""

    name: str
    folder: str
    """Relative to the release's folder."""
    rows: int
    bytes: int
    """Of its Parquet files."""
    description: str
