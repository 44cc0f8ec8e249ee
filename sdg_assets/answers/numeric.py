"""A number or closed formula, compared by mathematical equivalence."""

from __future__ import annotations

import random
import re
from fractions import Fraction

from sdg_assets.answers.base import (
    AnswerFormat,
    Content,
    Draft,
    DraftError,
    context_fields,
    context_of,
    with_context,
)
from sdg_assets.answers.extraction import boxed, json_answer, last_line, marked_answer, unwrap
from sdg_assets.examples import AnswerKind, Example

_NUMBER = re.compile(r"[-+−]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s*/\s*\d+)?")


class NumericDraft(Draft):
    """The working comes before the answer: the writer computes instead of guessing."""

    solution: str
    answer: str


class Numeric(AnswerFormat):
    """Two answers are the same when they are equal, however they are written."""

    kind = AnswerKind.NUMERIC

    def draft_model(self, anchor: Example) -> type[Draft]:
        """Question, worked solution, answer."""
        return with_context(NumericDraft, anchor)

    def draft_of(self, example: Example) -> Draft:
        """A seed without a worked solution shows its answer in its place."""
        return self.draft_model(example).model_validate(
            {
                **context_fields(example),
                "question": example.question,
                "solution": example.solution or f"The answer is {example.answer}.",
                "answer": example.answer,
            }
        )

    def assemble(self, draft: Draft, anchor: Example, rng: random.Random) -> Content:
        """Keeps the working as the solution."""
        made = draft.model_dump()
        answer = unwrap(made["answer"])
        if as_number(anchor.answer) is not None:
            found = _NUMBER.findall(answer)
            if len(found) != 1:
                raise DraftError("answer is not one number")
            answer = found[0]
        return Content(
            question=draft.question,
            answer=answer,
            context=context_of(draft),
            solution=made["solution"],
        )

    def extract(self, text: str, example: Example) -> str | None:
        r"""What is \boxed, marked as the answer, or the last number of the last line."""
        for candidate in (boxed(text), marked_answer(text), json_answer(text)):
            if candidate:
                return candidate if as_number(example.answer) is None else _last_number(candidate)
        line = last_line(text)
        return _last_number(line) if line else None

    def same(self, left: str, right: str, example: Example) -> bool:
        """Equality of exact values; otherwise what `math-verify` says."""
        a, b = as_number(left), as_number(right)
        if a is not None and b is not None:
            return a == b
        return equivalent(left, right)

    def check(self, example: Example) -> str | None:
        """The answer holds a digit or a symbol to compute with."""
        return None if re.search(r"[\dA-Za-z\\]", example.answer) else "answer is not a number"


def as_number(text: str) -> Fraction | None:
    """The exact value of a plainly written number: `1,250.50`, `-3/4`, `$12`, `45%`; else None."""
    plain = unwrap(text).replace("−", "-").replace("\\$", "").replace("\\%", "%")
    plain = plain.strip().lstrip("$€£¥").removesuffix("%").strip()
    if not re.fullmatch(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:\s*/\s*\d+)?", plain):
        return None
    try:
        return Fraction(plain.replace(",", "").replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        return None


def equivalent(left: str, right: str) -> bool:
    """Mathematical equivalence of two formulae, by `math-verify` (SymPy behind it)."""
    import threading

    from math_verify import parse, verify

    # Its time-outs are signals, which only the main thread can receive.
    seconds = 3 if threading.current_thread() is threading.main_thread() else None
    gold, target = (
        parse(f"${unwrap(t).strip('$')}$", parsing_timeout=seconds) for t in (left, right)
    )
    return bool(verify(gold, target, timeout_seconds=seconds))


def _last_number(text: str) -> str | None:
    found = _NUMBER.findall(text.replace("−", "-"))
    return found[-1].rstrip(",") if found else None


ANSWER = Numeric()
