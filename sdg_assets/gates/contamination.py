"""Gate 3: no row stands in a held-out split, in its own words or nearly so.

Overlap alone condemns too much: of 114 sources that n-grams flagged elsewhere, 88 were stems,
passages and templates. So a row that is not equal to a held-out one is refused only for both: most
of what is rare in the held-out question stands in its own, and its answer is the held-out answer,
over the same numbers. What falls short of that is counted and reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sdg_assets.examples import Example
from sdg_assets.gates.base import Batch, Refusal
from sdg_assets.heldout.fingerprints import Fingerprint, Hasher
from sdg_assets.heldout.index import HeldoutIndex, HeldoutRow, Resemblance, SharedContext
from sdg_assets.heldout.tables import FRAME_WEIGHT, MIN_WEIGHT
from sdg_assets.thresholds import Thresholds

NAME = "contamination"

# A question whose letters and digits are equal is the same one if it is so long; in a shorter one
# a lost sign may be the difference (5 - 3, 5 + 3).
_SPEAKS_FOR_ITSELF = 40
_WHOLE_CONTEXT = 0.8
_TELLING_NUMBERS = 3
# In short questions small numbers meet by chance.
_LONG_WEIGHT = 16.0


@dataclass
class BenchmarkOverlap:
    """How the rows that were judged overlap with one benchmark."""

    refused: int = 0
    suspicious: int = 0
    """Rows that overlap too little, or without the answer, to be refused."""
    shared_contexts: int = 0
    """Rows whose context is a held-out one, or most of it, under another question."""
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


@dataclass(frozen=True)
class _Finding:
    """One overlap of one row; `reason` is empty where it is only suspicious."""

    place: int
    benchmark: str
    share: float
    reason: str = ""
    of_context: bool = False

    @property
    def rank(self) -> tuple[bool, float, str]:
        return bool(self.reason), self.share, self.benchmark


class Contamination:
    """The gate. Its verdict on a row depends on nothing but the row; its report sums them up."""

    name = NAME

    def __init__(self, index: HeldoutIndex, thresholds: Thresholds, own: str = "") -> None:
        """Starts with nothing judged.

        Args:
            index: What is held out.
            thresholds: Where the lines are drawn.
            own: `task/subtask` of the rows. A question of their own held-out splits is not
                repeated however short it is; other benchmarks have their stems in common.
        """
        self.report = ContaminationReport()
        self._index = index
        self._thresholds = thresholds
        self._own = own
        self._hasher = Hasher()

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """Refuses what repeats a held-out row; the detail names its benchmark, never its text."""
        findings = self._findings(batch.rows)
        self._count(len(batch.rows), findings)
        worst: dict[int, _Finding] = {}
        for finding in sorted(findings, key=lambda f: f.rank):
            worst[finding.place] = finding
        return {
            place: Refusal(NAME, f.reason, f.benchmark, {"overlap": round(f.share, 4)})
            for place, f in sorted(worst.items())
            if f.reason
        }

    def _findings(self, rows: Sequence[Example]) -> list[_Finding]:
        prints, runs = self._hasher.fingerprints(rows)
        least = self._thresholds.contamination_suspicion
        shared = list(self._index.shared_contexts(prints, runs, least))
        contexts: dict[tuple[int, str], float] = {}
        for found in shared:
            key = found.place, found.heldout.benchmark
            contexts[key] = max(found.contained, contexts.get(key, 0.0))
        findings = [self._context(found, prints[found.place]) for found in shared]
        # The least that may refuse a row, see `_Pair.needed`.
        low = self._thresholds.contamination_overlap / 2, self._thresholds.contamination_slack / 2
        for row in self._index.resemblances(prints, runs, *low):
            context = contexts.get((row.place, row.heldout.benchmark), 0.0)
            mine = prints[row.place]
            finding = _Pair(row, mine, context, self._thresholds, self._own).finding
            findings += [finding] if finding else []
        return findings

    def _context(self, found: SharedContext, row: Fingerprint) -> _Finding:
        reason = ""
        if found.heldout.words <= self._thresholds.contamination_context_words:
            needed = _condemning(self._thresholds, found.heldout.weight, answered=False)
            reason = "context" if found.contained >= needed else ""
        if reason and found.heldout.context == row.context:
            reason = "exact context"
        return _Finding(
            found.place, found.heldout.benchmark, found.contained, reason, of_context=True
        )

    def _count(self, rows: int, findings: Iterable[_Finding]) -> None:
        report = self.report
        report.rows += rows
        worst: dict[tuple[int, str, bool], _Finding] = {}
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


@dataclass(frozen=True)
class _Pair:
    """A row beside a held-out row that it resembles."""

    found: Resemblance
    row: Fingerprint
    context: float
    """The largest share of a context of the same benchmark that the row contains."""
    thresholds: Thresholds
    own: str

    @property
    def finding(self) -> _Finding | None:
        """None for what is too little to report, or a short question that shares a stem."""
        if (
            not (self.reason or self.same_question)
            and self.share < self.thresholds.contamination_suspicion
        ):
            return None
        telling = self.heldout.weight >= 2 * MIN_WEIGHT or self.same_answer or self.same_question
        if not telling and not self.reason:
            return None
        share = 1.0 if self.same_question else max(self.found.asked, self.fused)
        return _Finding(self.found.place, self.heldout.benchmark, share, self.reason)

    @property
    def heldout(self) -> HeldoutRow:
        return self.found.heldout

    @cached_property
    def reason(self) -> str:
        if self.heldout.item == self.row.item:
            return "exact row"
        if self.same_question and (self.same_setting or self.same_answer):
            return "exact question"
        if self.numbers_hold and self.share >= self.needed:
            if self.same_answer:
                return "question and answer"
            if self.same_passage and not self.other_answer:
                return "question and context"
        if (
            self.numbers_hold
            and self.same_setting
            and not self.other_answer
            and self.share >= _condemning(self.thresholds, self.heldout.weight, answered=False)
        ):
            return "question"
        return ""

    @cached_property
    def share(self) -> float:
        return max(self.found.asked, self.fused)

    @property
    def fused(self) -> float:
        """A question that stands in a context: by chance, passages hold much of one."""
        anywhere = self.found.anywhere
        return anywhere if anywhere >= 0.8 and self.heldout.weight >= 2 * MIN_WEIGHT else 0.0

    @property
    def needed(self) -> float:
        # With all its choices beside it, a short question is as good as a longer one.
        listed = bool(self.heldout.choices) and self.heldout.choices == self.row.choices
        weight = self.heldout.weight * (2 if listed else 1)
        needed = _condemning(self.thresholds, weight, answered=True)
        # Several numbers that are all the same, and so is the answer, leave less to the words.
        numbers = len(self.heldout.numbers) if weight >= _LONG_WEIGHT and not listed else 0
        return needed / 2 if numbers >= _TELLING_NUMBERS else needed

    @property
    def same_passage(self) -> bool:
        return bool(self.heldout.context) and self.context >= _WHOLE_CONTEXT

    @cached_property
    def same_question(self) -> bool:
        mine, theirs = self.row, self.heldout
        # Words that stand in dozens of the task's rows ("Which situation is the better one?") are
        # its frame: what else those rows say tells them apart.
        apart = bool(theirs.choices or theirs.context) and theirs.question_weight == 0
        stem = theirs.question_weight < FRAME_WEIGHT and (apart or theirs.benchmark != self.own)
        if mine.question != theirs.question or stem:
            return False
        return (
            mine.wording == theirs.wording
            or theirs.letters >= _SPEAKS_FOR_ITSELF
            or self.same_answer
        )

    @property
    def same_setting(self) -> bool:
        """Whether the question needs no passage, or the row has the passage that it needs."""
        return not self.heldout.context or not self.row.context or self.context >= 0.5

    @cached_property
    def same_answer(self) -> bool:
        """The held-out answer, if it tells anything, or the held-out choices with no other one."""
        mine, theirs = self.row, self.heldout
        if theirs.choices and theirs.choices == mine.choices and not self.other_answer:
            return True
        return bool(theirs.answer) and not theirs.common and theirs.answer in mine.answers

    @property
    def other_answer(self) -> bool:
        return bool(self.heldout.answer) and self.heldout.answer not in self.row.answers

    @property
    def numbers_hold(self) -> bool:
        """The same words about other numbers are another question."""
        return self.row.numbers.issuperset(self.heldout.numbers)


def _condemning(thresholds: Thresholds, weight: float, *, answered: bool) -> float:
    """The share that refuses a row: a short question is soon like another, a long one never."""
    needed = thresholds.contamination_overlap + thresholds.contamination_slack / max(1.0, weight)
    return min(0.95, needed if answered else needed + thresholds.contamination_unanswered)
