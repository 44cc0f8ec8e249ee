"""Builds the questions for the tests of this folder, and answers them."""

from __future__ import annotations

from typing import Any

from sdg_assets.answers import answer_format
from sdg_assets.records import AnswerKind, Example
from sdg_assets_tests.support.records import example


def ask(kind: AnswerKind, answer: str, choices: list[str] | None = None, **fields: Any) -> Example:
    """An example of a kind, with choices if the kind selects among them."""
    if kind.selects:
        fields["choices"] = choices or [answer]
        fields["answer_index"] = fields["choices"].index(answer)
    fields.setdefault("question", "What is it?")
    return example(answer_kind=kind, answer=answer, **fields)


def extracted(text: str, example: Example) -> str | None:
    """The answer that the example's kind extracts from a completion."""
    return answer_format(example.answer_kind).extract(text, example)


def same(left: str, right: str, example: Example) -> bool:
    """Whether two answers are the same for the example's kind."""
    return answer_format(example.answer_kind).same(left, right, example)


def solves(text: str, example: Example) -> bool | None:
    """Whether a completion gives the example's answer; None if it gives none."""
    answer = extracted(text, example)
    return None if answer is None else same(answer, example.answer, example)
