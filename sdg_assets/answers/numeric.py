"""A number or closed formula, compared by mathematical equivalence.

If the question asks for a percentage, the number before the sign counts (45 is 45 %); otherwise its
hundredth counts (45 % is 0.45, never 45). Units are compared only if both sides have one.
"""

from __future__ import annotations

import random
import re

from sdg_assets.answers.base import (
    AnswerFormat,
    Draft,
    DraftError,
    context_fields,
    context_of,
    with_context,
)
from sdg_assets.answers.extraction import Phrase, heads, phrases, unwrap
from sdg_assets.answers.formulae import few_words, is_formula, is_words, same_formula
from sdg_assets.answers.numbers import ASKS_PERCENT, Quantity, plain_math, quantities, quantity
from sdg_assets.answers.wording import FORMAL, marks_of
from sdg_assets.records import Content, Example

_FORMULA = re.compile(r"\\[a-zA-Z]|[\^√π*]|\d\s*[+/]\s*\d|[\d)]!(?!\s)")
_EQUATION = re.compile(r"[^=≈,;]+[=≈](?:[^=≈,;]*[=≈])*(?P<result>[^=≈;]+)")
_JOIN = re.compile(r"[\s,;]*(?:(?:or|and|to|oder|und|ou|et|o|y|или|и)\b|[/或和])", re.IGNORECASE)
# What is denied is short: without a limit, "not A" 5,000 times took 4 s.
_DENIED = re.compile(
    r"\b(?:is\s+)?not\s+[^;]{0,200}?(?:,\s|\bbut\b)(?:\s+(?:it\s+is|but|rather))?", re.I
)
_NEGATION = re.compile(r"\b(?:not|no|never|cannot)\b|n't\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|[。;]|,?\s(?:because|since|which|where|not)\b")
_SEGMENT = re.compile(r"\$\$?(.+?)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]")


class NumericDraft(Draft):
    """The working comes before the answer: the writer computes instead of guessing."""

    solution: str
    answer: str


class Numeric(AnswerFormat):
    """Two answers are the same if their values are equal, in any notation."""

    name = "numeric"
    default_frame = "A question whose answer is a number or a formula."
    answer_is_words = False
    # Every sentence of a worked calculation may end with the result.
    answer_in_background = "nowhere"

    def draft_model(self, anchor: Example) -> type[Draft]:
        """Question, worked solution, answer."""
        return with_context(NumericDraft, anchor)

    def draft_of(self, example: Example) -> Draft:
        """If a seed has no worked solution, a sentence with its answer takes that place."""
        return self.draft_model(example).model_validate(
            {
                **context_fields(example),
                "question": example.question,
                "solution": example.solution or f"The answer is {example.answer}.",
                "answer": example.answer,
            }
        )

    def assemble(self, draft: Draft, anchor: Example, rng: random.Random) -> Content:
        """Keeps the working as the solution.

        Raises:
            DraftError: The anchor's answer is a number, and the draft's is not exactly one number.
        """
        made = draft.model_dump()
        answer = unwrap(made["answer"], FORMAL)
        if quantity(anchor.answer, anchor.language):
            numbers = _numbers_of(Phrase(answer, stated=True), anchor)
            if len(numbers) != 1:
                raise DraftError("answer is not one number")
            answer = numbers.pop()
        return Content(
            question=draft.question,
            answer=answer,
            context=context_of(draft),
            solution=made["solution"],
        )

    def extract(self, text: str, example: Example) -> str | None:
        r"""The answer that is \boxed or announced, or the only number of the last line."""
        plain = quantity(example.answer, example.language) is not None
        # "The answer is 42!" exclaims if the answer is a number; of a formula it is a factorial.
        keeps = marks_of([example.answer]) + ("" if plain else "!")
        for phrase in phrases(text, keeps):
            answers = _numbers_of(phrase, example) if plain else _formulae_of(phrase, example)
            if answers:
                return answers.pop() if len(answers) == 1 else None
        return None

    def same(self, left: str, right: str, example: Example) -> bool:
        """Equality of exact values; for formulae see `same_formula`."""
        a, b = quantity(left, example.language), quantity(right, example.language)
        if a is None or b is None:
            return same_formula(left, right, example.language)
        (x, unit), (y, other) = _value(a, example), _value(b, example)
        return x == y and (unit == other or "" in (unit, other))

    def check(self, example: Example) -> str | None:
        """Whether the answer contains a digit, a letter or a LaTeX command."""
        return None if re.search(r"[\dA-Za-z\\]", example.answer) else "answer is not a number"

    def is_given_away(self, example: Example) -> bool:
        """Never: the answer may equal a number of the question by chance (5 boxes, 5 left)."""
        return False


def _value(number: Quantity, example: Example) -> tuple[object, str]:
    if number.unit != "%":
        return number.value, number.unit
    asks_percent = ASKS_PERCENT.search(example.question)
    return (number.value if asks_percent else number.value / 100), ""


def _numbers_of(phrase: Phrase, example: Example) -> set[str]:
    """The number that a phrase gives as the answer; several if it is ambiguous."""
    language = example.language
    reference = quantity(example.answer, language)
    with_unit = reference is not None and reference.unit not in ("", "%")
    text = plain_math(phrase.text)
    for head in heads(text):
        if number := _result(head, language):
            unit = number.unit if with_unit and number.unit != "%" else ""
            return {f"{number.text} {unit}".strip()} | _continued(
                text[len(head) :], number, language
            )
    sentence = _DENIED.sub(" ", _SENTENCE_END.split(text)[0] if phrase.stated else text)
    if _NEGATION.search(sentence):
        return set()
    if _FORMULA.search(sentence):
        return {sentence.strip()} if is_formula(sentence) else set()
    numbers = list(quantities(sentence, language))
    if None in numbers:  # an ambiguous number: two elements stand for "several"
        return {sentence, ""}
    by_value = {number.value: number.text for number in numbers if number}
    return set(by_value.values())


def _result(text: str, language: str) -> Quantity | None:
    """The number that the whole text is; of an equation, its right-hand side."""
    equation = _EQUATION.fullmatch(text)
    return quantity(equation["result"] if equation else text, language)


def _continued(rest: str, number: Quantity, language: str) -> set[str]:
    """Further, different numbers directly after the first one: "12 or 13", "x = 1, y = 2"."""
    if re.match(r"\W*not\b", rest):
        return set()
    if joined := _JOIN.match(rest):
        following = list(quantities(rest[joined.end() :], language))
    else:
        clause = min(heads(rest.lstrip(" ,.;:()-–—")), key=len)
        following = [_result(clause, language)]
        if following == [None] and re.search(r"\d", clause) and is_formula(clause):
            return {clause}  # the next element of a list: "4, -2 + 3i"
    return {n.text for n in following if n and n.value != number.value}


def _formulae_of(phrase: Phrase, example: Example) -> set[str]:
    """The formula that a phrase gives as the answer; several if it is ambiguous."""
    text = phrase.text
    segments = {segment[1] or segment[2] or segment[3] for segment in _SEGMENT.finditer(text)}
    if len(segments) == 1:
        return segments
    if segments:
        # "$5$ or $-5$" is a list of two; "$x$ where $x > 0$" is not.
        is_list = re.fullmatch(r"(?:\s|,|or|and)*", _SEGMENT.sub("", text))
        return {text} if is_list and phrase.stated else segments
    text = unwrap(_SENTENCE_END.split(text)[0], FORMAL)
    has_right_form = few_words if is_words(example.answer) else is_formula
    return {text} if has_right_form(text) else set()


ANSWER = Numeric()
