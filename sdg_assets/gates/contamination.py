"""Gate 3: no row holds a held-out question, in its own words or nearly so.

The definition. A row overlaps with a held-out question by *the share, weighted by rarity, of the
question's n-grams that occur anywhere in the text that the row would train on*: context, question,
choices, answer, aliases, solution, reasoning, knowledge. Both sides are first reduced to letters
and digits (`heldout.letters`: no case, markup, accents, look-alikes, spaces; one way to write a
number), and an n-gram is eight of them in a row, across words; a CJK character counts as two. An
n-gram weighs 1 if fewer than one in 200 of the subtask's own training rows have it, and less the
more have it, down to 0 if all do: so a task's frame ("Is the sentiment of this sentence …") weighs
nothing. N-grams that more than 64 held-out texts have are common language and are not counted.

What is compared is the question. If it weighs less than two rare words do, or its benchmark asks it
with several contexts or sets of choices ("Which of these is true?"), its choices count as part of
it, and if these too say little, its context. If the row has the question's passage, the words that
the passage lends to the question do not count, unless the whole question is there.

The rules, of which a refusal names the one that applied:

- `exact row`: context, question and choices are the same, in any order of the choices.
- `exact question`: the question is the same and no stem, or the answer is the same as well.
- `whole question`: nine tenths of the question stand in the row, whatever its answer is; the rest
  is lost where a question is cut in two. A question about a passage must be long, or the passage or
  the answer be there too.
- `question`: the share is at least `contamination_overlap`, and nothing contradicts it.
- `question and answer`, `question and context`: the share is at least
  `contamination_confirmed_overlap`, the row gives the held-out answer (which must tell something:
  yes, no and labels do not) or has the held-out passage, and nothing contradicts it.
- `exact context`, `context`: the row has a held-out context that counts as part of its question, by
  `contamination_context_words`.

Two things contradict: numbers of the held-out question that the row does not have (the same words
about other numbers are another question), and another answer. Under these three rules four rare
n-grams more are asked for than the share says (one where the passage is there): a short question is
soon like another.

Everything from `contamination_suspicion` on that is not refused is counted and reported, as is a
row that repeats a held-out passage. No text is kept of what is held out, only hashes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdg_assets.gates.base import Batch, Cost, GateSpec, Point
from sdg_assets.gates.repeats import (
    ContaminationThresholds,
    Finding,
    JudgedRow,
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
    """How the rows that were judged overlap with one benchmark."""

    refused: int = 0
    suspicious: int = 0
    """Rows that overlap too little, or with a contradiction, to be refused."""
    shared_contexts: int = 0
    """Rows that hold a held-out context, or most of it, with another question."""
    highest: float = 0.0
    """The largest share of a held-out question in a row that was not refused."""

    def as_dict(self, rows: int) -> dict[str, float]:
        """Plain numbers, with the share of `rows` that is suspicious."""
        return {**vars(self), "suspicion": self.suspicious / rows if rows else 0.0}


@dataclass
class ContaminationReport:
    """What a gate saw: rows judged and refused, overlaps by benchmark."""

    rows: int = 0
    refused: int = 0
    suspicious: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    benchmarks: dict[str, BenchmarkOverlap] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers; only benchmarks with an overlap are named."""
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
    """The gate. Its verdict on a row depends on nothing but the row; its report sums them up."""

    name = NAME

    def __init__(
        self,
        index: HeldoutIndex,
        thresholds: ContaminationThresholds,
        own: str = "",
        background: Background | None = None,
    ) -> None:
        """Starts with nothing judged.

        Args:
            index: What is held out.
            thresholds: Where the lines are drawn.
            own: `task/subtask` of the rows. A question of their own held-out splits is not
                repeated however short it is; other benchmarks have their stems in common.
            background: What is rare in the subtask's training rows, from the same index; without
                it, every n-gram counts as rare.
        """
        self.report = ContaminationReport()
        self._index = index
        self._thresholds = thresholds
        self._own = own
        self._background = background or index.background()

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """Refuses what repeats a held-out row; the detail names its benchmark, never its text."""
        findings = list(self._findings(batch.rows))
        self._count(len(batch.rows), findings)
        worst: dict[int, Finding] = {}
        for finding in sorted(findings, key=lambda f: f.rank):
            worst[finding.place] = finding
        return {
            place: Refusal(NAME, f.reason, f.benchmark, {"overlap": round(f.share, 4)})
            for place, f in sorted(worst.items())
            if f.reason
        }

    def _findings(self, rows: Sequence[Example]) -> Iterator[Finding]:
        if not rows:
            return
        texts = plain_texts_of(rows)
        judged = [JudgedRow(*row) for row in zip(rows, texts, strict=True)]
        thresholds = self._thresholds
        candidates, contexts = self._index.search(
            texts,
            [row.item for row in judged],
            [row.question for row in judged],
            self._background,
            min(thresholds.contamination_confirmed_overlap, thresholds.contamination_suspicion),
        )
        heldout_rows = self._index.rows(candidate.row for candidate in candidates)
        for candidate in candidates:
            heldout = heldout_rows[candidate.row]
            is_own = heldout.benchmark == self._own
            pair = Pair(judged[candidate.place], heldout, candidate, thresholds, is_own)
            if (finding := pair.finding()) is not None:
                yield finding
        for context in contexts:
            if context.share >= thresholds.contamination_suspicion:
                yield context_finding(context, judged[context.place].context, thresholds)

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


GATE = GateSpec(
    name=NAME,
    rank=50,
    cost=Cost.HASHES,
    points=frozenset({Point.SEED, Point.ROW}),
    thresholds=ContaminationThresholds,
    checked_in=(Stage.FILTERED,),
    check="no_contamination",
    description="no row stands in a held-out split or a protected benchmark",
)
