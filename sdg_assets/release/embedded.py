"""What a release's rows were compared with by embeddings, summed over its partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sdg_assets.gates.paraphrases import NAME


@dataclass(frozen=True)
class EmbeddedComparison:
    """The paraphrase gate's results over the partitions of a release."""

    embedders: Mapping[str, int] = field(default_factory=dict)
    """Embedder and its lines, as text → partitions compared with it."""
    partitions: int = 0
    """Partitions of the release."""
    questions: int = 0
    """Held-out questions that rows were compared with; of the partition that had the most."""
    collections: int = 0
    """Their collections."""
    compared: int = 0
    refused: int = 0
    reported: int = 0
    benchmarks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Collection → rows refused, and rows above the second line that were kept."""

    @property
    def not_compared(self) -> int:
        """Partitions whose rows were not compared by embeddings."""
        return self.partitions - sum(self.embedders.values())


NOT_EMBEDDED = EmbeddedComparison()
"""Of a release whose rows were compared by n-grams only."""


def embedded_comparison(infos: Iterable[Mapping[str, Any]]) -> EmbeddedComparison:
    """Sums up the paraphrase gate's results.

    Args:
        infos: The `info` of the manifest of each released partition of `filtered`.
    """
    partitions = [info.get(NAME) for info in infos]
    records: list[Mapping[str, Any]] = [record for record in partitions if record]
    embedders: dict[str, int] = {}
    benchmarks: dict[str, tuple[int, int]] = {}
    for record in records:
        embedder = f"{record['embedder']}, lines {' and '.join(map(str, record['lines']))}"
        embedders[embedder] = embedders.get(embedder, 0) + 1
        for name, near in record["benchmarks"].items():
            refused, reported = benchmarks.get(name, (0, 0))
            benchmarks[name] = refused + near["refused"], reported + near["reported"]
    return EmbeddedComparison(
        embedders=dict(sorted(embedders.items())),
        partitions=len(partitions),
        questions=max((sum(record["against"].values()) for record in records), default=0),
        collections=max((len(record["against"]) for record in records), default=0),
        compared=sum(record["compared"] for record in records),
        refused=sum(record["refused"] for record in records),
        reported=sum(record["reported"] for record in records),
        benchmarks=dict(sorted(benchmarks.items())),
    )
