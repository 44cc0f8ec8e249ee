"""The paraphrase gate: no row asks a held-out question in another language or in other words.

Off unless an embedder is configured (`SDG_EMBEDDER`). The embedding of each row's question is
compared with those of all held-out questions. Above a line of similarity, a row is refused if it
also has the held-out numbers and gives the held-out answer (an answer with information: yes, no and
labels do not count). Others above the line are only reported: many different word problems are
about a farmer's eggs. The best line depends on the embedder; the default was measured with
multilingual-e5-small (`benchmarks/translated_leaks.py`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from sdg_assets.gates.base import Batch, Cost, GateSpec, Point
from sdg_assets.gates.repeats import CheckedRow
from sdg_assets.heldout.embeddings import EmbeddingIndex, HeldoutQuestion, Neighbour
from sdg_assets.heldout.fingerprints import plain_texts_of
from sdg_assets.records import EnrichedExample, Example, Refusal
from sdg_assets.teacher.embedder import Embedder
from sdg_assets.thresholds import OwnThresholds

NAME = "paraphrases"
REASON = "question in other words"


class ParaphraseThresholds(OwnThresholds):
    """The line above which two questions may be the same."""

    paraphrase_similarity: float = Field(
        default=0.88,
        gt=0,
        le=1,
        description="Cosine of two questions' embeddings from which a row is refused if numbers "
        "and answer are equal, and reported otherwise. Measure it for another embedder.",
    )
    paraphrase_numbers: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="Share of a held-out question's numbers that a row must have. Below 1, because "
        "a translation writes some in words.",
    )


@dataclass
class NearBenchmark:
    """How the compared rows resemble the questions of one held-out collection."""

    refused: int = 0
    reported: int = 0
    """Rows above the line with other numbers or another answer."""
    highest: float = 0.0
    """The largest similarity of a row that was not refused."""


@dataclass
class ParaphraseReport:
    """What the gate compared, refused and reported."""

    compared: int = 0
    refused: int = 0
    reported: int = 0
    benchmarks: dict[str, NearBenchmark] = field(default_factory=lambda: defaultdict(NearBenchmark))


class Paraphrases:
    """The gate. Its verdict on a row depends only on the row; its report sums up the verdicts."""

    name = NAME

    def __init__(
        self, index: EmbeddingIndex, embedder: Embedder, thresholds: ParaphraseThresholds
    ) -> None:
        """Starts with an empty report.

        Args:
            index: The held-out embeddings, by the same embedder.
            embedder: Embeds the rows' questions.
            thresholds: The thresholds of the gate.
        """
        self.report = ParaphraseReport()
        self._index, self._embedder, self._thresholds = index, embedder, thresholds

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """Refuses translated and paraphrased held-out rows; the detail names the benchmark."""
        if not batch.rows:
            return {}
        vectors = self._embedder.embed([row.question for row in batch.rows])
        neighbours = self._index.search(vectors, self._thresholds.paraphrase_similarity)
        by_place: dict[int, list[Neighbour]] = defaultdict(list)
        for neighbour in sorted(neighbours, key=lambda n: -n.similarity):
            by_place[neighbour.place].append(neighbour)
        report, refusals = self.report, dict[int, Refusal]()
        report.compared += len(batch.rows)
        for place, near in sorted(by_place.items()):
            row = batch.rows[place]
            checked = CheckedRow(row, plain_texts_of([row])[0])
            repeated = next((n for n in near if self._repeats(checked, n.heldout)), None)
            if repeated:
                report.refused += 1
                report.benchmarks[repeated.heldout.benchmark].refused += 1
                scores = {"similarity": round(repeated.similarity, 4)}
                refusals[place] = Refusal(NAME, REASON, repeated.heldout.benchmark, scores)
                continue
            report.reported += 1
            for benchmark in {n.heldout.benchmark for n in near}:
                best = next(n.similarity for n in near if n.heldout.benchmark == benchmark)
                entry = report.benchmarks[benchmark]
                entry.reported += 1
                entry.highest = max(entry.highest, round(best, 4))
        return refusals

    def record(self) -> dict[str, Any]:
        """The report for a manifest, with the embedder, the line, and the collections compared."""
        return {
            "embedder": self._index.embedder,
            "line": self._thresholds.paraphrase_similarity,
            "against": self._index.against,
            "compared": self.report.compared,
            "refused": self.report.refused,
            "reported": self.report.reported,
            "benchmarks": {n: vars(b) for n, b in sorted(self.report.benchmarks.items())},
        }

    def _repeats(self, row: CheckedRow, heldout: HeldoutQuestion) -> bool:
        is_informative = bool(heldout.answer) and not row.has_given_choices
        if not is_informative or heldout.answer not in row.answers:
            return False
        own = sum(row.has_numbers([number]) for number in heldout.numbers)
        return own >= self._thresholds.paraphrase_numbers * len(heldout.numbers)


GATE = GateSpec(
    name=NAME,
    rank=75,  # only rows that all others accept are worth an embedding
    cost=Cost.HASHES,
    points=frozenset({Point.ROW}),
    thresholds=ParaphraseThresholds,
    is_passed_in=True,
    reads=EnrichedExample,
    description="no row asks a held-out question in another language or in other words",
)
