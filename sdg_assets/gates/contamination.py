"""Gate 3: no row holds a held-out question, in its own words or nearly so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sdg_assets.examples import AnswerKind, Example
from sdg_assets.gates.base import Batch, Refusal
from sdg_assets.heldout.fingerprints import (
    answer_keys,
    hash_of,
    item_key,
    number_keys,
    plain_texts_of,
    signs_of,
    trained_texts,
)
from sdg_assets.heldout.index import Background, HeldoutIndex, HeldoutRow, Overlap, Overlaps
from sdg_assets.heldout.letters import all_numbers
from sdg_assets.thresholds import Thresholds

NAME = "contamination"

# The share that is the whole question: the rest is lost where it was cut in two or joined.
_WHOLE = 0.9
# Rare n-grams that a question must have to be recognized by itself: two or three rare words.
_TELLING = 8.0
# Of which so many must be in a row.
_EVIDENCE = 6.0
_SAME_CONTEXT = 0.5
# Labels and yes or no are a task's own frame, not options of one question.
_FRAMED = frozenset({AnswerKind.BOOLEAN, AnswerKind.LABEL})


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

    def __init__(
        self,
        index: HeldoutIndex,
        thresholds: Thresholds,
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
        worst: dict[int, _Finding] = {}
        for finding in sorted(findings, key=lambda f: f.rank):
            worst[finding.place] = finding
        return {
            place: Refusal(NAME, f.reason, f.benchmark, {"overlap": round(f.share, 4)})
            for place, f in sorted(worst.items())
            if f.reason
        }

    def _findings(self, rows: Sequence[Example]) -> Iterator[_Finding]:
        if not rows:
            return
        texts = plain_texts_of(rows)
        least = self._thresholds.contamination_confirmed_overlap
        overlaps = self._index.overlaps(texts, self._background, least)
        judged = [_Row(place, row, texts[place]) for place, row in enumerate(rows)]
        same_item = self._index.known_items([row.item for row in judged])
        same_question = self._index.known_questions([row.question for row in judged])
        for place, row in enumerate(judged):
            keys = overlaps.texts.get(place, ())
            if not (keys or same_item[place] or same_question[place]):
                continue
            heldout: set[int] = set()
            if same_item[place]:
                heldout.update(self._index.same_item(row.item))
            if same_question[place]:
                heldout.update(self._index.rows_with("question", row.question))
            contexts: dict[str, tuple[float, HeldoutRow]] = {}
            for key in keys:
                for part in ("question", "choices"):
                    heldout.update(self._index.rows_with(part, key))
                for at in self._index.rows_with("context", key):
                    heldout.add(at)
                    found = self._index.row(at)
                    share = overlaps.of(place, key).share
                    contexts[found.benchmark] = max(
                        contexts.get(found.benchmark, (0.0, found)),
                        (share, found),
                        key=lambda c: c[0],
                    )
            for at in sorted(heldout):
                found = self._index.row(at)
                pair = _Pair(row, found, overlaps, self._thresholds, found.benchmark == self._own)
                if (finding := pair.finding) is not None:
                    yield finding
            for benchmark, (share, found) in contexts.items():
                if share >= self._thresholds.contamination_suspicion:
                    yield self._of_context(row, benchmark, share, found)

    def _of_context(
        self, row: _Row, benchmark: str, share: float, found: HeldoutRow
    ) -> _Finding:
        reason = ""
        if self._index.words(found.context) <= self._thresholds.contamination_context_words:
            if share >= self._thresholds.contamination_overlap:
                reason = "context"
            if found.context == row.context:
                reason = "exact context"
        return _Finding(row.place, benchmark, min(share, 1.0), reason, of_context=True)

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


class _Row:
    """A row, and what is asked of it only if it resembles something."""

    def __init__(self, place: int, row: Example, texts: Sequence[str]) -> None:
        self.place = place
        self._row = row
        self._texts = texts
        self.question = hash_of(texts[1])

    @cached_property
    def item(self) -> int:
        choices = [] if self._row.answer_kind in _FRAMED else self._row.choices
        return item_key(self._texts[0], self._texts[1], self._texts[2 : 2 + len(choices)])

    @cached_property
    def context(self) -> int:
        return hash_of(self._texts[0])

    @cached_property
    def answers(self) -> set[int]:
        return answer_keys(self._row)

    @cached_property
    def _text(self) -> str:
        return "\n".join(trained_texts(self._row))

    @cached_property
    def numbers(self) -> set[int]:
        return set(number_keys(all_numbers(self._text)))

    @cached_property
    def signs(self) -> int:
        return signs_of(self._text)


@dataclass(frozen=True)
class _Pair:
    """A row beside a held-out row that it resembles."""

    row: _Row
    heldout: HeldoutRow
    overlaps: Overlaps
    thresholds: Thresholds
    is_own: bool

    @property
    def finding(self) -> _Finding | None:
        """None for what is too little to report."""
        reason, share = self.reason, 1.0 if self.is_same_question else self.share
        if not reason and (
            self.share < self.thresholds.contamination_suspicion or self.weight < _TELLING
        ):
            return None
        return _Finding(self.row.place, self.heldout.benchmark, min(share, 1.0), reason)

    @cached_property
    def reason(self) -> str:
        if self.heldout.item == self.row.item:
            return "exact row"
        if self.is_same_question and self.is_recognized:
            return "exact question"
        if not self.numbers_hold or self.weight < _TELLING:
            return ""
        if self.share >= _WHOLE and (self.has_setting or self.same_answer or not self.is_stem):
            return "whole question"
        if self.other_answer or self.share * self.weight < _EVIDENCE:
            return ""
        if self.share >= self.thresholds.contamination_overlap and self.has_setting:
            return "question"
        if self.share >= self.thresholds.contamination_confirmed_overlap:
            if self.same_answer:
                return "question and answer"
            if self.same_context:
                return "question and context"
        return ""

    @cached_property
    def question(self) -> Overlap:
        return self.overlaps.of(self.row.place, self.heldout.question)

    @cached_property
    def context(self) -> Overlap:
        return self.overlaps.of(self.row.place, self.heldout.context)

    @cached_property
    def choices(self) -> Overlap:
        return self.overlaps.of(self.row.place, self.heldout.choices)

    @property
    def is_stem(self) -> bool:
        return self.question.weight < _TELLING or self.heldout.settings > 2

    @cached_property
    def _unit(self) -> tuple[float, float]:
        """Weight found and weight of what identifies the held-out question."""
        question = self.question
        found, weight = question.anywhere, question.weight
        if self.same_context and question.share < _WHOLE:
            found = question.asked
        if self.is_stem and self.heldout.choices:
            found, weight = found + self.choices.anywhere, weight + self.choices.weight
        if self.is_stem and self.heldout.context and weight < _TELLING:
            if self.is_same_question or question.share >= 0.5:
                found, weight = found + self.context.anywhere, weight + self.context.weight
        return found, weight

    @property
    def weight(self) -> float:
        return self._unit[1]

    @property
    def share(self) -> float:
        found, weight = self._unit
        return found / weight if weight else 0.0

    @property
    def is_same_question(self) -> bool:
        return self.row.question == self.heldout.question

    @property
    def is_recognized(self) -> bool:
        if not (self.signs_hold or self.same_answer):
            return False
        if not self.is_stem:
            return self.has_setting or self.same_answer
        return self.is_own and self.heldout.settings <= 2 and self.has_setting

    @property
    def same_context(self) -> bool:
        return bool(self.heldout.context) and self.context.share >= _SAME_CONTEXT

    @property
    def has_setting(self) -> bool:
        """Whether the question needs no passage, or the row has the passage that it needs."""
        return not self.heldout.context or self.same_context

    @cached_property
    def same_answer(self) -> bool:
        """Whether the row gives the held-out answer, and that tells anything."""
        held = self.heldout
        return bool(held.answer) and not held.common and held.answer in self.row.answers

    @cached_property
    def other_answer(self) -> bool:
        return bool(self.heldout.answer) and self.heldout.answer not in self.row.answers

    @property
    def signs_hold(self) -> bool:
        return not self.heldout.signs & ~self.row.signs

    @property
    def numbers_hold(self) -> bool:
        """The same words about other numbers are another question."""
        if not self.row.numbers.issuperset(self.heldout.numbers):
            return False
        return self.signs_hold or self.same_answer
