"""Degenerate completions (loops, endless brackets, huge numbers) are processed quickly."""

from __future__ import annotations

import time

import pytest

from sdg_assets.records import AnswerKind
from sdg_assets_tests.answers.asking import ask, extracted, same

EXAMPLES = [
    ask(AnswerKind.MULTIPLE_CHOICE, "copper", ["iron", "copper", "lead"]),
    ask(AnswerKind.BOOLEAN, "yes", ["yes", "no"]),
    ask(AnswerKind.LABEL, "entailment", ["entailment", "not_entailment"]),
    ask(AnswerKind.NUMERIC, "12"),
    ask(AnswerKind.NUMERIC, "\\frac{\\pi}{2}"),
    ask(AnswerKind.SPAN, "a", context="a b c"),
    ask(AnswerKind.SHORT_TEXT, "Paris"),
    ask(AnswerKind.FREE_FORM, "some long text"),
]
LIMITS = {8_000: 3.0, 32_000: 10.0}
"""Characters of an answer → the most CPU seconds. 32,000 are 8,000 tokens of a thinking model.

The slowest takes 0.5 and 2 s. Where the time grew with the square of the length, it was 37 s.
"""
LOOPS = [
    "a ", "(", "1,", "1 ", "1/", "\\frac{", "answer ", "answer is ", "the answer is not ", '{"a":',
    "{", "\\boxed{", "```python\n", "is the correct answer ", "$", "^", "10^", "9", "-", "A) ",
    "not A ", "wait, ", "\n", "答案是", "是", "ก", "١", "twenty ", "million ", "½", "\\text{",
    "because ", ", ", "and ", "x = ", "=5", "**", "> ", "\\left(", "\\sqrt{", "March ", "1.1.1.",
    "option ", "copper ", "yes no ", "(A) (B) ", "x+", "1 1/2 ",
    "!", "5!", "a! ", "not ", "B ", "$x$ ",
]  # fmt: skip
HUGE = [
    "10^{10^{10}}", "9^{9^{9^9}}", "2^99999999", "99999999!", "1e" + "9" * 50, "9" * 5000,
    "(" * 80 + "x" + ")" * 80, "{" * 300 + "}" * 300, "\x00\ud800",
]  # fmt: skip


@pytest.mark.parametrize("length", LIMITS)
@pytest.mark.parametrize("unit", [*LOOPS, *HUGE], ids=lambda unit: repr(unit[:12]))
def test_a_degenerate_completion_is_read_quickly(unit: str, length: int) -> None:
    looped = unit if unit in HUGE else unit * (length // len(unit))
    for example in EXAMPLES:
        for text in (looped, f"Answer: {looped}", f"{looped}\nAnswer: 12"):
            began = time.process_time()
            answer = extracted(text, example)
            if answer is not None:
                same(answer, example.answer, example)
            assert time.process_time() - began < LIMITS[length], (example.answer_kind, text[:40])
