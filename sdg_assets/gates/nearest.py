"""The accepted rows that come nearest to each held-out benchmark."""

from __future__ import annotations

KEPT = 10


class NearestRows:
    """Keeps for each benchmark the `KEPT` rows with the highest scores.

    Equal scores are ordered by the rows' ids, so the result does not depend on the order of rows.
    """

    def __init__(self) -> None:
        """Knows no row yet."""
        self._scores: dict[str, dict[str, float]] = {}

    def see(self, benchmark: str, row: str, score: float) -> None:
        """Takes a row's score. Of several scores of a row with a benchmark, the highest counts."""
        scores = self._scores.setdefault(benchmark, {})
        scores[row] = max(round(score, 4), scores.get(row, 0.0))
        if len(scores) > KEPT:
            del scores[min(scores, key=lambda name: (scores[name], name))]

    def of(self, benchmark: str) -> list[tuple[str, float]]:
        """(row's id, score) of the nearest rows, the nearest first."""
        scores = self._scores.get(benchmark, {})
        return sorted(scores.items(), key=lambda item: (item[1], item[0]), reverse=True)
