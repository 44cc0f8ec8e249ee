"""Gate: a row reads like training text – sensible lengths, no debris, no labels for answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from sdg_assets.answers import answer_format
from sdg_assets.answers.labels import labelled
from sdg_assets.answers.wording import UNSPACED
from sdg_assets.gates.base import Batch, Cost, GateSpec, Point
from sdg_assets.gates.texts import BROKEN, REPEATED, Fault, faults
from sdg_assets.records import AnswerKind, Example, Refusal, Stage
from sdg_assets.thresholds import Bounds, OwnThresholds

if TYPE_CHECKING:
    import polars as pl

NAME = "format"


class FormatThresholds(OwnThresholds):
    """Lengths in characters, and how much a text may repeat itself."""

    question_chars: Bounds = Field(
        default=(5, 5000), description="characters of the shortest and the longest question"
    )
    context_chars: int = Field(
        default=30_000, ge=1, description="characters of the longest passage"
    )
    answer_chars: int = Field(
        default=600,
        ge=1,
        description="characters of the longest answer or choice, of all kinds but code and "
        "free-form answers",
    )
    long_answer_chars: int = Field(
        default=8000, ge=1, description="characters of the longest code or free-form answer"
    )
    choice_ratio: float = Field(
        default=5, gt=1, description="times as long as any other choice that one may not be"
    )
    repeated_share: float = Field(
        default=0.8, ge=0, le=1, description="share of a text's words that it may say again"
    )

    def longest_answer(self, kind: AnswerKind) -> int:
        """Characters that an answer of this kind may have."""
        return self.long_answer_chars if kind.policy.has_long_answers else self.answer_chars


# A choice this much longer than any other stands out only if it is a sentence more, too.
_SENTENCE = 40
_LONGEST_LABEL = 12
_CATCH_ALL = re.compile(
    r"(?i)\b(?:all|none|both|neither|either|any|some) of\b|\b(?:can ?not|can ?n ?['’] ?t|not enough"
    r"|insufficient|impossible|determined|depends|unknown)\b"
).search
_NUMBER = re.compile(r"\W*\d[\d.,/:]*\W*(?:[^\W\d]+\.?)?").fullmatch
_DIGIT = re.compile(r"\d").search
_LETTER = re.compile(r"\b[A-E]\b").search
_LABELS = re.compile(
    r"(?i:(?:only|both|either|neither)\s+)?\(?[A-E]\)?"
    r"(?:\s*(?:,|and|or|nor|&)\s*\(?[A-E]\)?)+(?i:\s+only)?\.?"
).fullmatch
_OPTIONS = re.compile(r"(?s)(?:^|[\s(])[Aa][).:]\s*\S.*?[\s(][Bb][).:]\s*\S").search
_STATED = re.compile(
    r"(?im)\b(?:correct|right|final) answer(?: is)?\s*:|^\s*answer\s*:\s*\S"
).search
_UNSPACED = re.compile(f"[{UNSPACED}]").findall


@dataclass(frozen=True)
class FormatGate:
    """Refuses rows by their lengths, the form of their choices and answers, and faults of texts.

    Faults of texts are those of `texts.faults`, in the context, the question, the choices or the
    answer; what a program holds is its own affair.
    """

    thresholds: FormatThresholds
    name: str = NAME

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """The first reason against each row that has one."""
        first: dict[int, Refusal] = {}
        # These rules run per row in Python: a polars expression costs about 3 ms of planning, and
        # drafts arrive one at a time. Rules that read every character run on columns.
        of_rows = (
            (place, fault)
            for place, row in enumerate(batch.rows)
            for fault in (
                *_lengths(row, self.thresholds), *_choices(row, self.thresholds), *_answer(row),
            )
        )  # fmt: skip
        for place, fault in (*of_rows, *_texts(batch.frame, self.thresholds)):
            first.setdefault(place, Refusal(NAME, fault.reason, fault.detail, fault.scores))
        return first


def gate(thresholds: FormatThresholds) -> FormatGate:
    """The gate with its lines drawn.

    Args:
        thresholds: Lengths, how much longer one choice may be, how much may be said again.
    """
    return FormatGate(thresholds)


def _lengths(row: Example, thresholds: FormatThresholds) -> Iterator[Fault]:
    low, high = thresholds.question_chars
    # Where no spaces are written, a character says about as much as two do elsewhere.
    short = len(row.question) < low and len(row.question) + len(_UNSPACED(row.question)) < low
    if short or len(row.question) > high:
        yield Fault("question length", f"{len(row.question)} characters")
    if len(row.context) > thresholds.context_chars:
        yield Fault("context length", f"{len(row.context)} characters")
    longest = max(map(len, (row.answer, *row.choices)))
    if longest > thresholds.longest_answer(row.answer_kind):
        yield Fault("answer length", f"{longest} characters")


def _choices(row: Example, thresholds: FormatThresholds) -> Iterator[Fault]:
    """Rules for choices that were written for the question: those of other kinds are given."""
    choices = row.choices
    if not row.answer_kind.policy.choices_are_written or len(choices) < 2:
        return
    listed = " | ".join(choices)[:120]
    if _labels_only(choices):
        yield Fault("label-only answer", row.answer)
    if len({" ".join(choice.split()).strip(" .,;:") for choice in choices}) < len(choices):
        yield Fault("choices say the same", listed)
    *_, second, longest = sorted(choices, key=len)
    apart = len(longest) >= thresholds.choice_ratio * len(second)
    if apart and len(longest) >= len(second) + _SENTENCE and not _CATCH_ALL(longest):
        lengths = f"{len(longest)} characters, then {len(second)}"
        yield Fault("choices differ in length", lengths)
    numbers = [choice for choice in choices if _NUMBER(choice)]
    if len(choices) > 2 and len(numbers) == 1:
        others = (choice for choice in choices if choice != numbers[0])
        if all(len(other.split()) >= 4 and not _DIGIT(other) for other in others):
            yield Fault("a number among sentences", listed)
    # A and B may be people or gases; then the question speaks of them.
    if any(map(_LABELS, choices)) and not _LETTER(row.question):
        yield Fault("choice refers to labels", listed)
    if (options := _OPTIONS(row.question)) and choices[0] in row.question:
        yield Fault("options stand in the question", options[0][:120])


def _answer(row: Example) -> Iterator[Fault]:
    if _STATED(row.question):
        yield Fault("answer stands in the question", "announced")
    kind = answer_format(row.answer_kind)
    if kind.answer_is_words and _is_label(row.answer):
        yield Fault("label-only answer", row.answer)
    if kind.is_given_away(row):
        yield Fault("answer stands in the question")


def _texts(frame: pl.DataFrame, thresholds: FormatThresholds) -> Iterator[tuple[int, Fault]]:
    import polars as pl  # late: thresholds are read without any row

    kind = pl.col("answer_kind")
    selects = AnswerKind.where(lambda policy: policy.selects)
    writes_choices = AnswerKind.where(lambda policy: policy.choices_are_written)
    programs = AnswerKind.where(lambda policy: policy.is_program)
    written = frame.select(
        "context",
        "question",
        answer=pl.when(kind.is_in(selects)).then(pl.lit("")).otherwise("answer"),
        choices=pl.when(kind.is_in(writes_choices))
        .then(pl.col("choices").list.join("\n"))
        .otherwise(pl.lit("")),
    )
    texts = pl.concat([written[part].alias("text") for part in written.columns])
    program = frame["answer_kind"].is_in(programs).to_list()
    for position, fault in faults(texts, thresholds.repeated_share):
        part, place = written.columns[position // frame.height], position % frame.height
        if part == "answer" and program[place] and fault.reason != BROKEN:
            continue  # braces, backticks and loops are a program's own affair
        if part == "choices" and REPEATED in fault.scores:
            continue  # good choices share most of their words
        detail = f"{part}: {fault.detail}" if fault.detail else part
        yield place, Fault(fault.reason, detail, fault.scores)


def _labels_only(choices: list[str]) -> bool:
    """Whether the choices are the first letters of an alphabet, in any order: A and (B), ア and イ.

    One letter among words may be a real answer, and so may R beside Rr.
    """
    if any(len(choice) > _LONGEST_LABEL for choice in choices):
        return False
    labels = [labelled(choice.strip(), numbers=False) for choice in choices]
    places = sorted(label[0] for label in labels if label and not label[1])
    return places == list(range(len(choices)))


def _is_label(answer: str) -> bool:
    if len(answer) > _LONGEST_LABEL:
        return False
    label = labelled(answer.strip(), numbers=False)
    return label is not None and not label[1] and label[0] < 10


GATE = GateSpec(
    name=NAME,
    rank=20,
    cost=Cost.TEXT,
    points=frozenset({Point.SEED, Point.DRAFT, Point.TEXT, Point.ROW}),
    thresholds=FormatThresholds,
    build=gate,
    checked_in=(Stage.NORMALIZED, Stage.GENERATED, Stage.ENRICHED, Stage.FILTERED),
    description="rows read like training text: no bare labels, debris, broken or repeated text",
)
