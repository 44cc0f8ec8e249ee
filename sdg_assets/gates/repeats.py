"""Whether a row repeats a held-out row, by the rules of the contamination gate's docstring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import Field

from sdg_assets.heldout.candidates import DISTINCTIVE, SAME_CONTEXT, WHOLE, Candidate, SharedContext
from sdg_assets.heldout.fingerprints import (
    answer_keys,
    hash_of,
    item_key,
    number_keys,
    signs_of,
    trained_texts,
)
from sdg_assets.heldout.index import HeldoutRow
from sdg_assets.heldout.letters import all_numbers, written_numbers
from sdg_assets.records import Example
from sdg_assets.thresholds import OwnThresholds

# A question with at least this many words (boilerplate words left out) or rare n-grams is the
# held-out question wherever it occurs.
MANY_WORDS = 4.0
MANY_NGRAMS = 20.0
# A question about a passage needs this many rare n-grams to be recognized inside other text without
# its passage. As a row's own question it needs MANY_NGRAMS, see `_without_setting`.
WITHOUT_SETTING = 40.0
# Rare n-grams that a row must have beyond the share, because short questions easily resemble each
# other. Two questions about the same passage need fewer.
SLACK = 4.0
SLACK_WITH_CONTEXT = 1.0


class ContaminationThresholds(OwnThresholds):
    """Overlaps are shares of a held-out question's n-grams, weighted by rarity."""

    contamination_overlap: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="Share of a held-out question's n-grams, weighted by rarity, from which a row "
        "is refused, unless its numbers or its answer differ.",
    )
    contamination_confirmed_overlap: float = Field(
        default=0.3,
        ge=0.2,
        le=1,
        description="The same share for a row that also gives the held-out answer or has the "
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


@dataclass(frozen=True)
class Finding:
    """One overlap of one row with one benchmark."""

    place: int
    """Position of the row in its batch."""
    benchmark: str
    share: float
    reason: str = ""
    """The rule that refuses the row; empty if the overlap is only suspicious."""
    of_context: bool = False

    @property
    def rank(self) -> tuple[bool, float, str]:
        """Sort key: the greatest is the most serious."""
        return bool(self.reason), self.share, self.benchmark


class CheckedRow:
    """A row, with properties that are computed only if the row resembles a held-out row."""

    def __init__(self, row: Example, texts: Sequence[str]) -> None:
        """Hashes the row.

        Args:
            row: The row.
            texts: Its folded texts, in the order of `trained_texts`.
        """
        self._row = row
        self._texts = texts
        self._answer = 2 + len(row.choices)
        self.has_given_choices = row.answer_kind.policy.choices_are_given
        """Whether its choices are given by the task, not written for this question."""
        choices = () if self.has_given_choices else texts[2 : self._answer]
        self.question = hash_of(texts[1])
        self.item = item_key(texts[0], texts[1], choices)

    @cached_property
    def context(self) -> int:
        """The key of its context."""
        return hash_of(self._texts[0])

    @cached_property
    def answers(self) -> set[int]:
        """Every key under which its answer or an alias may be recorded."""
        answers = [self._row.answer, *self._row.aliases]
        return answer_keys(answers, self._texts[self._answer : self._answer + len(answers)])

    def has_numbers(self, numbers: Iterable[int]) -> bool:
        """Whether the row has all these numbers: in digits, or in words (slower to find)."""
        wanted = set(numbers)
        return wanted <= self._digits or wanted <= self._numbers

    @cached_property
    def signs(self) -> int:
        """The mathematical signs in the row's texts, see `signs_of`."""
        return signs_of(self._text)

    @cached_property
    def _text(self) -> str:
        return "\n".join(trained_texts(self._row))

    @cached_property
    def _digits(self) -> set[int]:
        return set(number_keys(written_numbers(self._text)))

    @cached_property
    def _numbers(self) -> set[int]:
        return set(number_keys(all_numbers(self._text)))


@dataclass(frozen=True)
class Pair:
    """A row, paired with a held-out row that it resembles."""

    row: CheckedRow
    heldout: HeldoutRow
    candidate: Candidate
    thresholds: ContaminationThresholds
    is_own: bool
    """Whether the held-out row belongs to the row's own subtask."""

    def finding(self) -> Finding | None:
        """The overlap; None if it is too small to be reported."""
        reason = self._reason()
        candidate = self.candidate
        if not reason and (
            candidate.share < self.thresholds.contamination_suspicion or not self.is_distinctive
        ):
            return None
        return Finding(candidate.place, self.heldout.benchmark, self.share, reason)

    @property
    def is_distinctive(self) -> bool:
        """Whether the held-out question says enough for a share of it to mean anything."""
        return self.candidate.weight >= DISTINCTIVE

    @property
    def share(self) -> float:
        """The share of the held-out question that the row contains; 1 for an equal question."""
        return 1.0 if self._is_same_question else min(self.candidate.share, 1.0)

    def _reason(self) -> str:
        """The name of the rule that refuses the row; "" if none does."""
        share, weight = self.candidate.share, self.candidate.weight
        if self.heldout.item == self.row.item:
            return "exact row"
        if self._is_same_question and self._is_recognized:
            return "exact question"
        if weight < DISTINCTIVE:
            return ""
        if share >= WHOLE and self._is_recognizable and self._has_numbers:
            return "whole question"
        confirmed, unconfirmed = (
            self.thresholds.contamination_confirmed_overlap,
            self.thresholds.contamination_overlap,
        )
        # Most pairs share less than any rule demands: for these, the answer is never compared.
        if share * weight < min(confirmed, unconfirmed) * weight + SLACK_WITH_CONTEXT:
            return ""
        by = "answer" if self._is_same_answer else "context" if self._is_same_context else ""
        slack = SLACK_WITH_CONTEXT if self._is_same_context else SLACK
        needed = (confirmed if by else unconfirmed) * weight + slack
        if share * weight < needed or not self._has_setting:
            return ""
        if self._is_other_answer or not self._has_numbers:
            return ""
        return f"question and {by}" if by else "question"

    @property
    def _is_same_question(self) -> bool:
        return self.row.question == self.heldout.question

    @property
    def _is_recognized(self) -> bool:
        """Whether an equal question is the held-out one, not a stem that many rows ask."""
        if self._is_same_answer:
            return True
        if not self._has_signs:
            return False
        if not self.candidate.is_stem:
            return self._has_setting or self.candidate.weight >= self._without_setting
        return self.is_own and self.heldout.settings <= 2 and self._has_setting

    @property
    def _without_setting(self) -> float:
        """The weight from which an equal question needs no passage to be the held-out one.

        A premise is half of its question: 9 % of RTE's training rows ask a held-out statement about
        another premise, and so another question.
        """
        has_premises = self.thresholds.contamination_context_words > 0
        return WITHOUT_SETTING if has_premises else MANY_NGRAMS

    @property
    def _is_recognizable(self) -> bool:
        """Whether the question is recognizable wherever its words occur."""
        if not self._has_setting and not self._is_same_answer:
            return self.candidate.weight >= WITHOUT_SETTING
        return self.candidate.words >= MANY_WORDS or self.candidate.weight >= MANY_NGRAMS

    @property
    def _is_same_context(self) -> bool:
        return bool(self.heldout.context) and self.candidate.context >= SAME_CONTEXT

    @property
    def _has_setting(self) -> bool:
        """Whether the question needs no passage, or the row has the passage that it needs."""
        return not self.heldout.context or self._is_same_context

    @property
    def _is_same_answer(self) -> bool:
        """Whether the row gives the held-out answer, and that answer carries information."""
        heldout = self.heldout
        is_informative = (
            bool(heldout.answer) and not heldout.common and not self.row.has_given_choices
        )
        return is_informative and heldout.answer in self.row.answers

    @property
    def _is_other_answer(self) -> bool:
        return bool(self.heldout.answer) and self.heldout.answer not in self.row.answers

    @property
    def _has_signs(self) -> bool:
        """Whether the row has every mathematical sign of the held-out question."""
        return not self.heldout.signs & ~self.row.signs

    @property
    def _has_numbers(self) -> bool:
        """Whether the row has the held-out numbers: other numbers make another question."""
        if self.heldout.numbers and not self.row.has_numbers(self.heldout.numbers):
            return False
        return self._has_signs or self._is_same_answer


def context_finding(
    shared: SharedContext, context: int, thresholds: ContaminationThresholds
) -> Finding:
    """The overlap with a held-out context; a short one counts as part of its question.

    Args:
        shared: The held-out context, and the share of it that the row has.
        context: The key of the row's own context.
        thresholds: The thresholds of the gate.
    """
    reason = ""
    if shared.words <= thresholds.contamination_context_words:
        needed = thresholds.contamination_overlap * shared.weight + SLACK
        if shared.share * shared.weight >= needed:
            reason = "context"
        if shared.key == context:
            reason = "exact context"
    return Finding(shared.place, shared.benchmark, shared.share, reason, of_context=True)
