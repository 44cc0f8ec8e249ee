"""Gate: a row reads like training text – sensible lengths, no debris, no labels for answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from sdg_assets.answers.extraction import normalized
from sdg_assets.answers.labels import labelled
from sdg_assets.answers.wording import UNSPACED
from sdg_assets.examples import SELECTING, AnswerKind, Example
from sdg_assets.gates.base import Batch, Refusal
from sdg_assets.gates.texts import BROKEN, REPEATED, Fault, faults
from sdg_assets.thresholds import Thresholds

NAME = "format"

# A choice this much longer than any other stands out only if it is a sentence more, too.
_SENTENCE = 40
_LONGEST_LABEL = 12
_CATCH_ALL = (
    r"(?i)\b(?:all|none|both|neither|either|any|some) of\b|\b(?:can ?not|can ?n ?['’] ?t|not enough"
    r"|insufficient|impossible|determined|depends|unknown)\b"
)
_NUMBER = r"^[^\p{L}\p{N}]*[\p{N}][\p{N}.,/:]*[^\p{L}\p{N}]*(?:\p{L}+\.?)?$"
_LABELS = (
    r"^(?i:(?:only|both|either|neither)\s+)?\(?[A-E]\)?"
    r"(?:\s*(?:,|and|or|nor|&)\s*\(?[A-E]\)?)+(?i:\s+only)?\.?$"
)
_OPTIONS = r"(?s)(?:^|[\s(])[Aa][).:]\s*\S.*?[\s(][Bb][).:]\s*\S"
_STATED = r"(?i)(?-u:\b)(?:correct|right|final) answer(?: is)?\s*:|(?m)^\s*answer\s*:\s*\S"


@dataclass(frozen=True)
class FormatGate:
    """Refuses rows by their lengths, the form of their choices and answers, and faults of texts.

    Faults of texts are those of `texts.faults`, in the context, the question, the choices or the
    answer; what a program holds is its own affair.
    """

    thresholds: Thresholds
    name: str = NAME

    def refusals(self, batch: Batch[Example]) -> dict[int, Refusal]:
        """The first reason against each row that has one."""
        found: dict[int, Refusal] = {}
        for place, fault in (
            *_lengths(batch.frame, self.thresholds),
            *_choices(batch.frame, self.thresholds),
            *_answers(batch),
            *_texts(batch.frame, self.thresholds),
        ):
            found.setdefault(place, Refusal(NAME, fault.reason, fault.detail, fault.scores))
        return found


def gate(thresholds: Thresholds) -> FormatGate:
    """The gate with its lines drawn.

    Args:
        thresholds: Lengths, how much longer one choice may be, how much may be said again.
    """
    return FormatGate(thresholds)


def _lengths(frame: pl.DataFrame, thresholds: Thresholds) -> Iterator[tuple[int, Fault]]:
    low, high = thresholds.question_chars
    question, context = pl.col("question").str, pl.col("context").str
    # Where no spaces are written, a character says about as much as two do elsewhere.
    written = question.len_chars() + question.count_matches(f"[{UNSPACED}]")
    longest = pl.max_horizontal(
        pl.col("answer").str.len_chars(),
        pl.col("choices").list.eval(pl.element().str.len_chars()).list.max(),
    )
    allowed = pl.col("answer_kind").replace_strict(
        {kind.value: thresholds.longest_answer(kind) for kind in AnswerKind}
    )
    characters = "{} characters"
    yield from _refused(
        frame,
        {
            "question length": (
                (written < low) | (question.len_chars() > high),
                pl.format(characters, question.len_chars()),
            ),
            "context length": (
                context.len_chars() > thresholds.context_chars,
                pl.format(characters, context.len_chars()),
            ),
            "answer length": (longest > allowed, pl.format(characters, longest)),
        },
    )


def _choices(frame: pl.DataFrame, thresholds: Thresholds) -> Iterator[tuple[int, Fault]]:
    """Rules for choices that were written for the question: those of other kinds are given."""
    rows = frame.with_row_index("place").filter(
        pl.col("answer_kind") == AnswerKind.MULTIPLE_CHOICE, pl.col("choices").list.len() > 1
    )
    if rows.is_empty():
        return
    each, choices = pl.element().str, pl.col("choices").list
    plain = choices.eval(each.replace_all(r"\s+", " ").str.strip_chars(" .,;:"))
    catch_all = pl.element().str.contains(_CATCH_ALL)
    lengths = choices.eval(pl.when(catch_all).then(0).otherwise(each.len_chars())).list
    longest, second = lengths.sort(descending=True).list.get(0), choices.eval(each.len_chars())
    second = second.list.sort(descending=True).list.get(1)
    numbers = choices.eval(each.contains(_NUMBER)).list.sum()
    wordy = choices.eval(each.contains(r"^\P{N}*$") & (each.count_matches(r"\S+") >= 4)).list.sum()
    refers = choices.eval(each.contains(_LABELS)).list.any()
    yield from (
        (int(rows["place"][place]), fault)
        for place, fault in _refused(
            rows,
            {
                "choices say the same": (
                    plain.list.n_unique() < choices.len(),
                    choices.join(" | "),
                ),
                "choices differ in length": (
                    (longest >= second * thresholds.choice_ratio) & (longest >= second + _SENTENCE),
                    pl.format("{} characters, then {}", longest, second),
                ),
                "a number among sentences": (
                    (numbers == 1) & (wordy == choices.len() - 1) & (choices.len() > 2),
                    choices.join(" | "),
                ),
                "choice refers to labels": (
                    # A and B may be people or gases; then the question speaks of them.
                    refers & ~pl.col("question").str.contains(r"\b[A-E]\b"),
                    choices.join(" | "),
                ),
                "options stand in the question": (
                    pl.col("question").str.contains(_OPTIONS)
                    & pl.col("question").str.contains(choices.first(), literal=True),
                    pl.col("question").str.extract(_OPTIONS, 0),
                ),
            },
        )
    )


def _answers(batch: Batch[Example]) -> Iterator[tuple[int, Fault]]:
    stated = batch.frame["question"].str.contains(_STATED).arg_true()
    for place in stated:
        yield place, Fault("answer stands in the question", "announced")
    for place, row in enumerate(batch.rows):
        kind = row.answer_kind
        if kind is AnswerKind.MULTIPLE_CHOICE:
            if _labels_only(row.choices):
                yield place, Fault("label-only answer", row.answer)
        elif kind in (AnswerKind.SHORT_TEXT, AnswerKind.SPAN, AnswerKind.FREE_FORM):
            if _is_label(row.answer):
                yield place, Fault("label-only answer", row.answer)
            if _gives_away(row):
                yield place, Fault("answer stands in the question")


def _texts(frame: pl.DataFrame, thresholds: Thresholds) -> Iterator[tuple[int, Fault]]:
    given = pl.col("answer_kind").is_in([kind.value for kind in SELECTING])
    written = frame.select(
        "context",
        "question",
        answer=pl.when(given).then(pl.lit("")).otherwise("answer"),
        choices=pl.when(pl.col("answer_kind") == AnswerKind.MULTIPLE_CHOICE)
        .then(pl.col("choices").list.join("\n"))
        .otherwise(pl.lit("")),
    )
    texts = pl.concat([written[part].alias("text") for part in written.columns])
    program = (frame["answer_kind"] == AnswerKind.CODE).to_list()
    for position, fault in faults(texts, thresholds.repeated_share):
        part, place = written.columns[position // frame.height], position % frame.height
        if part == "answer" and program[place] and fault.reason != BROKEN:
            continue  # braces, backticks and loops are a program's own affair
        if part == "choices" and REPEATED in fault.scores:
            continue  # good choices share most of their words
        detail = f"{part}: {fault.detail}" if fault.detail else part
        yield place, Fault(fault.reason, detail, fault.scores)


def _refused(
    frame: pl.DataFrame, rules: dict[str, tuple[pl.Expr, pl.Expr]]
) -> Iterator[tuple[int, Fault]]:
    """Reason → (condition, detail), over a frame: (position, fault) where a condition holds."""
    shown = frame.select(
        pl.when(condition).then(detail.fill_null("").str.slice(0, 120)).alias(reason)
        for reason, (condition, detail) in rules.items()
    )
    for reason in shown.columns:
        for place in shown[reason].is_not_null().arg_true():
            yield place, Fault(reason, shown[reason][place])


def _labels_only(choices: list[str]) -> bool:
    """Whether the choices are the first letters of an alphabet, in any order: A and (B), ア and イ.

    One letter among words may be a real answer, and so may R beside Rr.
    """
    if any(len(choice) > _LONGEST_LABEL for choice in choices):
        return False
    labels = [labelled(choice.strip(), numbers=False) for choice in choices]
    places = sorted(found[0] for found in labels if found and not found[1])
    return places == list(range(len(choices)))


def _is_label(answer: str) -> bool:
    if len(answer) > _LONGEST_LABEL:
        return False
    found = labelled(answer.strip(), numbers=False)
    return found is not None and not found[1] and found[0] < 10


def _gives_away(row: Example) -> bool:
    """Whether the question says the answer, other than as one of two to choose from.

    Short text and free form only: a number may well equal one that is given (5 boxes, 5 left).
    """
    if row.answer_kind is AnswerKind.SPAN:
        return False
    answer, question = normalized(row.answer, row.language), normalized(row.question, row.language)
    if len(answer) <= 3 or f" {answer} " not in f" {question} ":
        return False
    if row.answer_kind is AnswerKind.FREE_FORM:
        return 2 * len(answer) > len(question)
    return " or " not in question
