"""The contamination gate: no row repeats a held-out question, word for word or nearly so.

Definition. A row's overlap with a held-out question is *the share, weighted by rarity, of the
question's n-grams that occur anywhere in the text that the row would train on*: context, question,
choices, answer, aliases, solution, tests, reasoning, knowledge. Both texts are first folded to
letters and digits (`heldout.letters`: no case, markup, accents, look-alikes or spaces; one way to
write a number). An n-gram is eight consecutive such characters, across words; a CJK character
counts as two. An n-gram weighs 1 if fewer than one in 200 of the subtask's own training rows
contain it, less the more rows contain it, and 0 if all do. So the boilerplate words of a task ("Is
the sentiment of this sentence …") weigh nothing. N-grams in more than 64 held-out texts are common
language and are ignored.

The held-out text compared is the question. Its choices count as part of it if it weighs less than
two rare words, or if its benchmark asks it with several contexts or sets of choices ("Which of
these is true?"); if both together still weigh too little, its context counts, too. If the row has
the question's passage, words that the question shares with the passage are ignored, unless the row
has the whole question. The tests of a held-out program, joined, are compared like one more
question.

The rules; a refusal names the rule that applied:

- `exact row`: context and question, joined, are the same, and so are the choices, in any order.
- `exact question`: the question is the same, and either it is no stem that many rows ask, or the
  answer is the same as well. If the row lacks the question's passage, the question must also be
  long; a passage that counts as part of the question (`contamination_context_words`) may be missing
  only from an even longer one.
- `whole question`: the row contains at least nine tenths of the question, with any answer; a
  question that is cut in two loses the n-grams at the cut. A question about a passage must also be
  long, or the row must have the passage or the answer.
- `question`: the share is at least `contamination_overlap`, and nothing contradicts it.
- `question and answer`, `question and context`: the share is at least
  `contamination_confirmed_overlap`, nothing contradicts it, and the row has the held-out passage or
  gives the held-out answer (an answer with information: yes, no and labels do not count).
- `exact context`, `context`: the row has a held-out context that counts as part of its question, by
  `contamination_context_words`.

Two things contradict an overlap: the row lacks numbers of the held-out question (the same words
with other numbers are another question), or it gives another answer. The three `question` rules
demand four rare n-grams more than the share (one if the row has the passage), because short
questions easily resemble each other.

Overlaps of at least `contamination_suspicion` that are not refused are counted and reported, and so
are rows that repeat a held-out passage. Only hashes of held-out texts are stored, never the texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdg_assets.gates.base import Batch, Cost, GateSpec, Point
from sdg_assets.gates.nearest import NearestRows
from sdg_assets.gates.repeats import (
    CheckedRow,
    ContaminationThresholds,
    Finding,
    Pair,
    context_finding,
)
from sdg_assets.heldout.fingerprints import plain_texts_of
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.heldout.weights import Background
from sdg_assets.records import Example, Refusal, Stage

NAME = "contamination"


@dataclass
class BenchmarkOverlap:
    """How the tested rows overlap with one benchmark."""

    refused: int = 0
    suspicious: int = 0
    """Rows whose overlap is too small to refuse them, or is contradicted."""
    shared_contexts: int = 0
    """Rows that have a held-out context, or most of it, with another question."""
    highest: float = 0.0
    """The largest share of a held-out question among the rows that were not refused."""

    def as_dict(self, rows: int) -> dict[str, float]:
        """The counts, and `suspicion`: the share of `rows` that is suspicious."""
        return {**vars(self), "suspicion": self.suspicious / rows if rows else 0.0}


@dataclass
class ContaminationReport:
    """The gate's counts: rows tested and refused, and the overlaps by benchmark."""

    rows: int = 0
    refused: int = 0
    suspicious: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    benchmarks: dict[str, BenchmarkOverlap] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain numbers; benchmarks without an overlap are left out."""
        return {
            "rows": self.rows,
            "refused": self.refused,
            "suspicious": self.suspicious,
            "reasons": dict(self.reasons),
            "benchmarks": {
                name: overlap.as_dict(self.rows)
                for name, overlap in sorted(self.benchmarks.items())
            },
        }


class Contamination:
    """The gate. Its verdict on a row depends only on the row; its report sums up the verdicts."""

    name = NAME

    def __init__(
        self,
        index: HeldoutIndex,
        thresholds: ContaminationThresholds,
        own: str = "",
        background: Background | None = None,
        nearest: NearestRows | None = None,
    ) -> None:
        """Starts with an empty report.

        Args:
            index: The held-out rows.
            thresholds: The thresholds of the gate.
            own: `task/subtask` of the rows. A question of the subtask's own held-out splits must
                not be repeated, however short it is; benchmarks share short stems.
            background: The n-gram weights from the subtask's training rows, by the same index;
                without it, every n-gram counts as rare.
            nearest: Gets the scores of the rows that are not refused.
        """
        self.report = ContaminationReport()
        self._index = index
        self._thresholds = thresholds
        self._own = own
        self._background = background or index.background()
        self._nearest = nearest

    @property
    def least_score(self) -> float:
        """The smallest share of a held-out question that is looked for."""
        thresholds = self._thresholds
        return min(thresholds.contamination_confirmed_overlap, thresholds.contamination_suspicion)

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """Refuses rows that repeat a held-out row; the detail names its benchmark, not its text."""
        pairs, contexts = self._search(batch.rows)
        findings = _findings(pairs, contexts)
        self._count(len(batch.rows), findings)
        worst: dict[int, Finding] = {}
        for finding in sorted(findings, key=lambda f: f.rank):
            worst[finding.place] = finding
        refusals = {
            place: Refusal(NAME, f.reason, f.benchmark, {"overlap": round(f.share, 4)})
            for place, f in sorted(worst.items())
            if f.reason
        }
        if self._nearest:
            for pair in pairs:
                if pair.is_distinctive and (place := pair.candidate.place) not in refusals:
                    self._nearest.see(pair.heldout.benchmark, batch.rows[place].id, pair.share)
        return refusals

    def overlaps(self, rows: Sequence[Example], least: float) -> dict[int, Refusal]:
        """The most serious overlap of each row that reaches `least`, refused or not.

        For texts of which there are plenty: nothing that would excuse a row counts. It changes no
        report.
        """
        worst: dict[int, Refusal] = {}
        for finding in sorted(_findings(*self._search(rows)), key=lambda f: f.rank):
            if finding.reason or finding.share >= least:
                part = "context" if finding.of_context else "question"
                scores = {"overlap": round(finding.share, 4)}
                reason = finding.reason or f"overlap with a held-out {part}"
                worst[finding.place] = Refusal(NAME, reason, finding.benchmark, scores)
        return worst

    def _search(self, rows: Sequence[Example]) -> tuple[list[Pair], list[Finding]]:
        """The held-out rows that each row resembles, and the held-out contexts that it has."""
        if not rows:
            return [], []
        texts = plain_texts_of(rows)
        checked = [CheckedRow(*row) for row in zip(rows, texts, strict=True)]
        thresholds = self._thresholds
        candidates, contexts = self._index.search(
            texts,
            [row.item for row in checked],
            [row.question for row in checked],
            self._background,
            self.least_score,
        )
        heldout_rows = self._index.rows(candidate.row for candidate in candidates)
        pairs = []
        for candidate in candidates:
            heldout = heldout_rows[candidate.row]
            is_own = heldout.benchmark == self._own
            pairs.append(Pair(checked[candidate.place], heldout, candidate, thresholds, is_own))
        return pairs, [
            context_finding(context, checked[context.place].context, thresholds)
            for context in contexts
            if context.share >= thresholds.contamination_suspicion
        ]

    def _count(self, rows: int, findings: Iterable[Finding]) -> None:
        report = self.report
        report.rows += rows
        worst: dict[tuple[int, str, bool], Finding] = {}
        for finding in sorted(findings, key=lambda f: f.rank):
            worst[finding.place, finding.benchmark, finding.of_context] = finding
        refused = {f.place: f.reason for f in worst.values() if f.reason}
        report.refused += len(refused)
        report.reasons.update(refused.values())
        hit = {(f.place, f.benchmark) for f in worst.values() if f.reason}
        for _, benchmark in hit:
            report.benchmarks.setdefault(benchmark, BenchmarkOverlap()).refused += 1
        suspicious = set()
        for finding in worst.values():
            if finding.place in refused:
                continue
            overlap = report.benchmarks.setdefault(finding.benchmark, BenchmarkOverlap())
            if finding.of_context:
                overlap.shared_contexts += 1
                continue
            overlap.suspicious += 1
            overlap.highest = max(overlap.highest, round(finding.share, 4))
            suspicious.add(finding.place)
        report.suspicious += len(suspicious)


def _findings(pairs: Iterable[Pair], contexts: Iterable[Finding]) -> list[Finding]:
    return [*(f for pair in pairs if (f := pair.finding()) is not None), *contexts]


GATE = GateSpec(
    name=NAME,
    rank=50,
    cost=Cost.HASHES,
    points=frozenset({Point.SEED, Point.ROW}),
    thresholds=ContaminationThresholds,
    checked_in=(Stage.FILTERED,),
    check="no_contamination",
    description="no row repeats a held-out split or a protected benchmark",
)
