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
from functools import cached_property
from typing import Any

from pydantic import Field

from sdg_assets.gates.base import Batch, Cost, GateSpec, Point
from sdg_assets.heldout.fingerprints import (
    answer_keys,
    hash_of,
    item_key,
    number_keys,
    plain_texts_of,
    signs_of,
    trained_texts,
)
from sdg_assets.heldout.index import (
    SAME_CONTEXT,
    TELLING,
    WHOLE,
    Background,
    Candidate,
    HeldoutIndex,
    HeldoutRow,
    SharedContext,
)
from sdg_assets.heldout.letters import all_numbers, written_numbers
from sdg_assets.records import Example, Refusal, Stage
from sdg_assets.thresholds import OwnThresholds

NAME = "contamination"

# A question of so many words, its frame's left out, or of so many rare n-grams, is one and the same
# wherever it stands.
MANY_WORDS = 4.0
MANY_NGRAMS = 20.0
# One that is asked about a passage is, without it, only if it has so many.
WITHOUT_SETTING = 40.0
# N-grams that must be in a row beyond the share: a short question is soon like another, though less
# so about one and the same passage.
SLACK = 4.0
SLACK_WITH_CONTEXT = 1.0


class ContaminationThresholds(OwnThresholds):
    """Overlaps are shares of a held-out question's n-grams, weighted by rarity."""

    contamination_overlap: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="Share of a held-out question's n-grams, weighted by rarity, that refuses a "
        "row, unless its numbers or its answer are others.",
    )
    contamination_confirmed_overlap: float = Field(
        default=0.3,
        ge=0.2,
        le=1,
        description="The same share for a row that gives the held-out answer too, or has the "
        "held-out context.",
    )
    contamination_suspicion: float = Field(
        default=0.5, ge=0.2, le=1, description="The same share from which an overlap is reported."
    )
    contamination_context_words: int = Field(
        default=0,
        ge=0,
        description="Held-out contexts of at most this many words count as part of the question, "
        "as an NLI premise does: repeating one refuses a row. Longer ones are passages: repeating "
        "one is reported, not refused.",
    )


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
        judged = [_Row(row, texts[place]) for place, row in enumerate(rows)]
        least = min(
            self._thresholds.contamination_confirmed_overlap,
            self._thresholds.contamination_suspicion,
        )
        candidates, contexts = self._index.search(
            texts,
            [row.item for row in judged],
            [row.question for row in judged],
            self._background,
            least,
        )
        heldout_rows = self._index.rows(candidate.row for candidate in candidates)
        for candidate in candidates:
            heldout = heldout_rows[candidate.row]
            pair = _Pair(
                judged[candidate.place],
                heldout,
                candidate,
                self._thresholds,
                heldout.benchmark == self._own,
            )
            if (finding := pair.finding) is not None:
                yield finding
        for context in contexts:
            if context.share >= self._thresholds.contamination_suspicion:
                yield self._of_context(context, judged[context.place].context)

    def _of_context(self, found: SharedContext, context: int) -> _Finding:
        reason = ""
        if found.words <= self._thresholds.contamination_context_words:
            least = self._thresholds.contamination_overlap * found.weight + SLACK
            if found.share * found.weight >= least:
                reason = "context"
            if found.key == context:
                reason = "exact context"
        return _Finding(found.place, found.benchmark, found.share, reason, of_context=True)

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

    def __init__(self, row: Example, texts: Sequence[str]) -> None:
        self._row = row
        self._texts = texts
        self.question = hash_of(texts[1])

    @property
    def is_framed(self) -> bool:
        """Whether choices are the task's own frame, not options of one question."""
        return self._row.answer_kind.policy.choices_are_given

    @cached_property
    def item(self) -> int:
        choices = [] if self.is_framed else self._row.choices
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

    def has_numbers(self, numbers: Iterable[int]) -> bool:
        """Whether all of these stand in the row: in digits, or in words (slower to find)."""
        left = set(numbers)
        return left <= self._digits or left <= self._numbers

    @cached_property
    def _digits(self) -> set[int]:
        return set(number_keys(written_numbers(self._text)))

    @cached_property
    def _numbers(self) -> set[int]:
        return set(number_keys(all_numbers(self._text)))

    @cached_property
    def signs(self) -> int:
        return signs_of(self._text)


@dataclass(frozen=True)
class _Pair:
    """A row beside a held-out row that it resembles."""

    row: _Row
    heldout: HeldoutRow
    candidate: Candidate
    thresholds: ContaminationThresholds
    is_own: bool

    @property
    def finding(self) -> _Finding | None:
        """None for what is too little to report."""
        reason, share = self.reason, 1.0 if self.is_same_question else self.share
        if not reason and (
            self.share < self.thresholds.contamination_suspicion or self.weight < TELLING
        ):
            return None
        return _Finding(self.candidate.place, self.heldout.benchmark, min(share, 1.0), reason)

    @cached_property
    def reason(self) -> str:
        if self.heldout.item == self.row.item:
            return "exact row"
        if self.is_same_question and self.is_recognized:
            return "exact question"
        if self.weight < TELLING:
            return ""
        if self.share >= WHOLE and self.speaks_for_itself and self.numbers_hold:
            return "whole question"
        confirmed = "answer" if self.same_answer else "context" if self.same_context else ""
        least = (
            self.thresholds.contamination_confirmed_overlap
            if confirmed
            else self.thresholds.contamination_overlap
        )
        slack = SLACK_WITH_CONTEXT if self.same_context else SLACK
        if self.share * self.weight < least * self.weight + slack or not self.has_setting:
            return ""
        if self.other_answer or not self.numbers_hold:
            return ""
        return f"question and {confirmed}" if confirmed else "question"

    @property
    def speaks_for_itself(self) -> bool:
        """Whether the question is one and the same wherever its words are found."""
        if not self.has_setting and not self.same_answer:
            return self.weight >= WITHOUT_SETTING
        return self.candidate.words >= MANY_WORDS or self.weight >= MANY_NGRAMS

    @property
    def weight(self) -> float:
        return self.candidate.weight

    @property
    def share(self) -> float:
        return self.candidate.share

    @property
    def is_same_question(self) -> bool:
        return self.row.question == self.heldout.question

    @property
    def is_recognized(self) -> bool:
        if self.same_answer:
            return True
        if not self.signs_hold:
            return False
        if not self.candidate.is_stem:
            return self.has_setting or self.weight >= WITHOUT_SETTING
        return self.is_own and self.heldout.settings <= 2 and self.has_setting

    @property
    def same_context(self) -> bool:
        return bool(self.heldout.context) and self.candidate.context >= SAME_CONTEXT

    @property
    def has_setting(self) -> bool:
        """Whether the question needs no passage, or the row has the passage that it needs."""
        return not self.heldout.context or self.same_context

    @cached_property
    def same_answer(self) -> bool:
        """Whether the row gives the held-out answer, and that tells anything."""
        held = self.heldout
        is_telling = bool(held.answer) and not held.common and not self.row.is_framed
        return is_telling and held.answer in self.row.answers

    @cached_property
    def other_answer(self) -> bool:
        return bool(self.heldout.answer) and self.heldout.answer not in self.row.answers

    @property
    def signs_hold(self) -> bool:
        return not self.heldout.signs & ~self.row.signs

    @property
    def numbers_hold(self) -> bool:
        """The same words about other numbers are another question."""
        if self.heldout.numbers and not self.row.has_numbers(self.heldout.numbers):
            return False
        return self.signs_hold or self.same_answer


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
