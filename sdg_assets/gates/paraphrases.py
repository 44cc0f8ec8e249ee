"""The paraphrase gate: no row asks a held-out question in another language or in other words.

Off unless an embedder is configured (`SDG_EMBEDDER`). The embedding of each row's question is
compared with those of all held-out questions; the `NEAREST` ones of each collection are looked at.
A row is refused if it gives the answer of one (an answer with information: yes, no and labels do
not count), if most numbers in both questions are the same, and if

- the similarity is at least `paraphrase_similarity`, and they share two numbers or more; or
- the similarity is at least `paraphrase_suspicion`.

Other rows with a similarity of at least `paraphrase_suspicion` are only reported: many word
problems are about a farmer's eggs. The best lines depend on the embedder; the defaults were
measured with multilingual-e5-small (`benchmarks/translated_leaks.py`), to which any two questions
in prose are similar by 0.75.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from sdg_assets.gates.base import Batch, Cost, GateSpec, Point
from sdg_assets.gates.repeats import CheckedRow
from sdg_assets.heldout.embeddings import EmbeddingIndex, Neighbour
from sdg_assets.heldout.fingerprints import number_keys, plain_texts_of
from sdg_assets.heldout.letters import written_numbers
from sdg_assets.records import EnrichedExample, Example, Refusal
from sdg_assets.teacher.embedder import Embedder
from sdg_assets.thresholds import OwnThresholds

NAME = "paraphrases"
REASON = "question in other words"
NEAREST = 3
"""Held-out questions of each collection that a row is compared with in detail. GSM8K's new rows
have a similarity above 0.82 with hundreds of questions, and some of these have their numbers; a
translation is among the nearest three."""
SHARED_NUMBERS = 2
"""One number in common is chance: half of all word problems have a 2."""


class ParaphraseThresholds(OwnThresholds):
    """The lines above which two questions may be the same; similarities are cosines."""

    paraphrase_similarity: float = Field(
        default=0.82,
        gt=0,
        le=1,
        description="Similarity of two questions from which a row is refused if their numbers and "
        "answers are equal.",
    )
    paraphrase_suspicion: float = Field(
        default=0.92,
        gt=0,
        le=1,
        description="Similarity from which a row is reported, and refused if the answers are equal "
        "and no numbers differ.",
    )
    paraphrase_numbers: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of all numbers in two questions that both must have to count as equal. "
        "Below 1, because a translation writes some numbers in words.",
    )


@dataclass
class NearBenchmark:
    """How the compared rows resemble the questions of one held-out collection."""

    refused: int = 0
    reported: int = 0
    """Rows with a suspicious similarity, and other numbers or another answer."""
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
        limits = self._thresholds
        least = min(limits.paraphrase_similarity, limits.paraphrase_suspicion)
        by_place: dict[int, list[Neighbour]] = defaultdict(list)
        neighbours = self._index.search(vectors, least, NEAREST)
        for neighbour in sorted(neighbours, key=lambda n: -n.similarity):
            by_place[neighbour.place].append(neighbour)
        report, refusals = self.report, dict[int, Refusal]()
        report.compared += len(batch.rows)
        for place, near in sorted(by_place.items()):
            row = _Row(batch.rows[place])
            repeated = next((n for n in near if self._repeats(row, n)), None)
            if repeated:
                report.refused += 1
                report.benchmarks[repeated.benchmark].refused += 1
                scores = {"similarity": round(repeated.similarity, 4)}
                refusals[place] = Refusal(NAME, REASON, repeated.benchmark, scores)
                continue
            highest: dict[str, float] = {}
            for n in near:
                if n.similarity >= limits.paraphrase_suspicion:
                    highest.setdefault(n.benchmark, round(n.similarity, 4))
            report.reported += bool(highest)
            for benchmark, similarity in highest.items():
                entry = report.benchmarks[benchmark]
                entry.reported += 1
                entry.highest = max(entry.highest, similarity)
        return refusals

    def record(self) -> dict[str, Any]:
        """The report for a manifest, with the embedder, the line, and the collections compared."""
        return {
            "embedder": self._index.embedder,
            "lines": [
                self._thresholds.paraphrase_similarity,
                self._thresholds.paraphrase_suspicion,
            ],
            "against": self._index.against,
            "compared": self.report.compared,
            "refused": self.report.refused,
            "reported": self.report.reported,
            "benchmarks": {n: vars(b) for n, b in sorted(self.report.benchmarks.items())},
        }

    def _repeats(self, row: _Row, near: Neighbour) -> bool:
        limits = self._thresholds
        for heldout in self._index.answers(near.question):
            is_informative = bool(heldout.answer) and not heldout.common
            if not is_informative or heldout.answer not in row.answers:
                continue
            shared, all_of_them = row.numbers & heldout.numbers, row.numbers | heldout.numbers
            if len(shared) < limits.paraphrase_numbers * len(all_of_them):
                continue
            is_evident = len(shared) >= SHARED_NUMBERS
            line = limits.paraphrase_similarity if is_evident else limits.paraphrase_suspicion
            if near.similarity >= line:
                return True
        return False


class _Row:
    """The hashes of a row's answers and of the numbers in its question."""

    def __init__(self, row: Example) -> None:
        checked = CheckedRow(row, plain_texts_of([row])[0])
        self.answers = set[int]() if checked.has_given_choices else checked.answers
        self.numbers = frozenset(number_keys(written_numbers(row.question)))


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
