"""Gate 2: a row reads like training text – no debris, no bare labels, sensible lengths."""

from __future__ import annotations

import re
from functools import partial

from sdg_assets.answers.extraction import normalized
from sdg_assets.examples import AnswerKind, Example
from sdg_assets.gates.base import EachRow, Refusal
from sdg_assets.thresholds import Thresholds

NAME = "format"

_BARE_LABEL = re.compile(r"^(?:option|choice|answer)?\s*[(\[]?[A-E][)\].:]?$", re.IGNORECASE)
_DEBRIS = re.compile(
    r"\bas an ai\b|\blanguage model\b|\bexample [123]\b|\{\{|\}\}|<\|[a-z_]+\|>|\blorem ipsum\b",
    re.IGNORECASE,
)
_REPEATED = re.compile(r"(.{3,40}?)\1{4,}", re.DOTALL)


def gate(thresholds: Thresholds) -> EachRow:
    """Refuses label-only answers, prompt debris, broken Unicode, repetition and odd lengths.

    Args:
        thresholds: How long questions and answers may be.
    """
    return EachRow(NAME, partial(_judge, thresholds))


def _judge(thresholds: Thresholds, row: Example) -> Refusal | None:
    low, high = thresholds.question_chars
    if not low <= len(row.question) <= high:
        return Refusal(NAME, "question length", f"{len(row.question)} characters")
    if len(row.answer) > thresholds.longest_answer(row.answer_kind):
        return Refusal(NAME, "answer length", f"{len(row.answer)} characters")
    if row.answer_kind is AnswerKind.MULTIPLE_CHOICE and _labels_only(row.choices):
        return Refusal(NAME, "label-only answer", row.answer)
    for name, text in (
        ("context", row.context),
        ("question", row.question),
        ("answer", row.answer),
    ):
        if "\ufffd" in text or any(0xD800 <= ord(c) < 0xE000 for c in text):
            return Refusal(NAME, "broken Unicode", name)
        if row.answer_kind is not AnswerKind.CODE and (found := _DEBRIS.search(text)):
            return Refusal(NAME, "prompt debris", f"{name}: {found[0]}")
        if _repeats(text):
            return Refusal(NAME, "repetition", name)
    if row.answer_kind is AnswerKind.SHORT_TEXT and _gives_away(row):
        return Refusal(NAME, "answer stands in the question")
    return None


def _repeats(text: str) -> bool:
    """Whether words circle. Blanks to fill in, rules, indentation and zeros may repeat."""
    return any(any(c.isalpha() for c in found[1]) for found in _REPEATED.finditer(text))


def _labels_only(choices: list[str]) -> bool:
    """Whether the choices are letters: "A", "(B)". One letter among words may be a real answer."""
    return bool(choices) and all(_BARE_LABEL.match(c.strip()) for c in choices)


def _gives_away(row: Example) -> bool:
    # Short text only: a number may well equal one that is given (5 boxes, 5 left).
    answer = normalized(row.answer)
    return len(answer) > 3 and f" {answer} " in f" {normalized(row.question)} "
