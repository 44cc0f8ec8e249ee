"""Gate: a row reads like training text: sensible lengths, no debris, no labels as answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass

from pydantic import Field

from sdg_assets.answers import answer_format
from sdg_assets.answers.labels import labelled
from sdg_assets.answers.unspaced import unspaced_characters
from sdg_assets.gates.base import Batch, Cost, GateSpec, Point
from sdg_assets.gates.texts import BROKEN, REPEATED, Fault, faults
from sdg_assets.records import AnswerKind, Example, Refusal, Stage
from sdg_assets.thresholds import Bounds, OwnThresholds

NAME = "format"


class FormatThresholds(OwnThresholds):
    """Lengths in characters, and how much a text may repeat itself."""

    question_chars: Bounds = Field(
        default=(5, 5000), description="shortest and longest question, in characters"
    )
    context_chars: int = Field(default=30_000, ge=1, description="longest context, in characters")
    answer_chars: int = Field(
        default=600,
        ge=1,
        description="longest answer or choice, in characters, except code and free-form answers",
    )
    long_answer_chars: int = Field(
        default=8000, ge=1, description="longest code or free-form answer, in characters"
    )
    choice_ratio: float = Field(
        default=5,
        gt=1,
        description="a choice must be less than this many times as long as any other",
    )
    repeated_share: float = Field(
        default=0.8, ge=0, le=1, description="largest share of a text's words in repeated phrases"
    )

    def longest_answer(self, kind: AnswerKind) -> int:
        """The most characters that an answer of this kind may have."""
        return self.long_answer_chars if kind.policy.has_long_answers else self.answer_chars


# A long choice stands out only if it is also this many characters (a sentence) longer than others.
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


@dataclass(frozen=True)
class FormatGate:
    """Refuses rows for their lengths, the form of their choices and answers, and faulty texts.

    `texts.faults` defines the faults. The context, the question, the choices and the answer are
    tested; in a program, only broken Unicode counts.
    """

    thresholds: FormatThresholds
    name: str = NAME

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """The first fault of each faulty row."""
        first: dict[int, Refusal] = {}
        # These rules run per row in Python: a polars expression costs about 3 ms of planning, and
        # drafts arrive one at a time. Rules that read every character run on columns.
        row_faults = (
            (place, fault)
            for place, row in enumerate(batch.rows)
            for fault in _row_faults(row, self.thresholds, batch.untested)
        )
        for place, fault in (*row_faults, *_texts(batch, self.thresholds)):
            first.setdefault(place, Refusal(NAME, fault.reason, fault.detail, fault.scores))
        return first


def gate(thresholds: FormatThresholds) -> FormatGate:
    """Builds the gate.

    Args:
        thresholds: Its thresholds.
    """
    return FormatGate(thresholds)


def _row_faults(row: Example, thresholds: FormatThresholds, untested: Set[str]) -> Iterator[Fault]:
    if untested == {"context"}:
        yield from _context_length(row, thresholds)
    else:
        yield from _lengths(row, thresholds)
        yield from _choices(row, thresholds)
        yield from _answer(row)


def _lengths(row: Example, thresholds: FormatThresholds) -> Iterator[Fault]:
    low, high = thresholds.question_chars
    # In scripts without spaces, a character says about as much as two characters of other scripts.
    short = len(row.question) < low and len(row.question) + unspaced_characters(row.question) < low
    if short or len(row.question) > high:
        yield Fault("question length", f"{len(row.question)} characters")
    yield from _context_length(row, thresholds)
    longest = max(map(len, (row.answer, *row.choices)))
    if longest > thresholds.longest_answer(row.answer_kind):
        yield Fault("answer length", f"{longest} characters")


def _context_length(row: Example, thresholds: FormatThresholds) -> Iterator[Fault]:
    if len(row.context) > thresholds.context_chars:
        yield Fault("context length", f"{len(row.context)} characters")


def _choices(row: Example, thresholds: FormatThresholds) -> Iterator[Fault]:
    """Rules for choices written for the question; other answer kinds have given choices."""
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
    # "A" and "B" may be people or gases; then the question mentions them.
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


def _texts(batch: Batch[Example], thresholds: FormatThresholds) -> Iterator[tuple[int, Fault]]:
    import polars as pl  # late: the thresholds are also read without polars

    if batch.untested == {"context"}:
        for place, fault in faults(batch.columns("context")["context"], thresholds.repeated_share):
            yield place, _in_part("context", fault)
        return
    frame = batch.frame
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
            continue  # braces, backticks and loops are normal in a program
        if part == "choices" and REPEATED in fault.scores:
            continue  # good choices share most of their words
        yield place, _in_part(part, fault)


def _in_part(part: str, fault: Fault) -> Fault:
    detail = f"{part}: {fault.detail}" if fault.detail else part
    return Fault(fault.reason, detail, fault.scores)


def _labels_only(choices: list[str]) -> bool:
    """Whether the choices are the first letters of an alphabet, in any order: A and (B), ア and イ.

    One letter among words may be a real answer, and so may R next to Rr.
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
