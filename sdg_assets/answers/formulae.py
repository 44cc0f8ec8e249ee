"""Equality of formulae: by their text, then by their parts, and last by `math-verify`."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from itertools import pairwise

from sdg_assets.answers.numbers import quantity
from sdg_assets.answers.wording import FORMAL, normalized, typography, unwrap

_SECONDS = 3
_LONGEST = 300
_MOST_WORDS = 4
_REWRITTEN = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"\\(?:left|right|displaystyle|big|Big|limits)(?![a-zA-Z])|\s*\\!\s*", ""),
        (r"(?<!\\)\\[,;: ]|~|\\q?quad\b", " "),
        (r"\{,\}", ","),
        (r"\\[dtc]frac", r"\\frac"),
        (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
        (r"\\frac\s*\{([^{}]+)\}\s*(\d)(?!\d)", r"\\frac{\1}{\2}"),
        (r"\\sqrt\s*(\d)", r"\\sqrt{\1}"),
        (r"√\s*\(([^()]*)\)|√\s*(\w+)", r"\\sqrt{\1\2}"),
        (r"\^\s*\{?\s*(?:\\circ|°)\s*\}?|\\degree\b|°", ""),
        (r"\\%", "%"),
        (r"\\\$|\$", ""),
        (r"(?:\\(?:text|mbox)\s*\{\s*)?(?<![A-Za-z])(?:or|and)(?![A-Za-z])\s*\}?", ","),
        (r"\\(?:text|mathrm|mbox|textbf|mathbf|textit|operatorname)\s*\{([^{}]*)\}", r"\1"),
        (r"\\(?:leq?|leqslant)(?![a-zA-Z])|≤", r"\\le "),
        (r"\\(?:geq?|geqslant)(?![a-zA-Z])|≥", r"\\ge "),
        (r"\^\s*(?:\{\s*\\prime\s*\}|\\prime(?![a-zA-Z]))|′", "'"),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\infin?(?:ty)?(?![a-zA-Z])|∞", r"\\infty "),
        (r"π", r"\\pi "),
        (r"±", r"\\pm "),
        (r"∪", r"\\cup "),
        (r"∈", r"\\in "),
        (r"\\(?:times|cdot)(?![a-zA-Z])|×|·", "*"),
        (r"(?<![\d.])\.(?=\d)", "0."),
        (r"\^\{(\w)\}", r"^\1"),
        (r"(?<![\w}])(\d+)/(\d+)(?![\w{])", r"\\frac{\1}{\2}"),
        (r"(\\[a-zA-Z]+)\s+(?=[a-zA-Z])", "\\1\x00"),
        (r"\s+", ""),
        ("\x00", " "),
        (r"(\\[a-zA-Z]+)\s+(?![a-zA-Z])", r"\1"),
        (r"^[a-zA-Z](?:\([a-z]\))?(?:=|\\in(?![a-zA-Z]))(?=[^=]+$)", ""),
    ]
]
# Formulae that SymPy would expand for minutes: power towers, long exponents, factorials, sums.
_INTRACTABLE = re.compile(
    r"[(\[{]{20}|\^\s*\{[^{}]*\^|\^\s*\{?\s*-?\d{4,}|\*\*\s*\d{3,}|\d{4,}\s*!|!!|\d{40,}|binom\D*\d{4,}"
    r"|\\(?:sum|prod|int|lim)(?![a-zA-Z])"
)
_RELATION = re.compile(r"[<>]|\\(?:le|ge|in|pm|cup|cap|setminus|ne|mathbb|begin)(?![a-zA-Z])")
_SURROUND = {"(": ")", "[": "]", "\\{": "\\}"}


@lru_cache(maxsize=1 << 14)
def same_formula(left: str, right: str, language: str = "en") -> bool:
    """Whether two formulae are equal.

    Lists and sets are compared element by element: order counts in (1, 2) but not in {1, 2}, and
    an open interval differs from a closed one. `math-verify` gets only the pairs that their text
    does not decide.
    """
    a, b = _compact(left), _compact(right)
    if a == b:
        return True
    numbers = quantity(left, language), quantity(right, language)
    if numbers[0] and numbers[1]:
        return numbers[0].value == numbers[1].value and numbers[0].unit == numbers[1].unit
    if is_words(left) or is_words(right):
        return normalized(_compact(left)) == normalized(_compact(right))
    # `math-verify` reads no primes: it holds x' for x.
    if ":" in a or ":" in b or _bases(a) != _bases(b) or a.count("'") != b.count("'"):
        return False
    parts = _parts(a), _parts(b)
    if parts[0] and parts[1]:
        return _same_parts(parts[0], parts[1], language)
    if any(parts) and not (_RELATION.search(a) or _RELATION.search(b)):
        return False
    return _equivalent(a, b)


def _compact(text: str) -> str:
    text = unwrap(typography(text), FORMAL)
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    return unwrap(text, FORMAL)


def is_formula(text: str) -> bool:
    """Whether a text is mathematics without prose."""
    bare = re.sub(r"\\(?:text|mbox|mathrm|begin|end)\s*\{[^{}]*\}|\\[a-zA-Z]+", "", text)
    return bool(re.search(r"\w|\\", text)) and not re.search(r"[^\W\d_]{3,}", bare)


def few_words(text: str) -> str | None:
    r"""The plain text of a formula that is one word (`\text{Monday}`, `even`); otherwise None."""
    plain = _compact(text).strip("()")
    single = re.fullmatch(r"[^\W\d_][^\W\d_'-]*", plain)
    return plain if single and len(unwrap(text).split()) <= _MOST_WORDS else None


def is_words(text: str) -> bool:
    """Whether a formula is certainly words, not a product of variables."""
    plain = few_words(text)
    return plain is not None and (len(plain) > 3 or bool(re.search(r"\\(?:text|mbox)", text)))


def _bases(text: str) -> str | None:
    """The base of a numeral like 1011_2."""
    based = re.fullmatch(r"[\dA-F]+_\{?(\d+)\}?", text)
    return based[1] if based else None


def _parts(text: str) -> tuple[str, list[str]] | None:
    """The brackets and the elements of a list, tuple, interval or set; None for anything else."""
    for opening, closing in _SURROUND.items():
        if text.startswith(opening) and text.endswith((")", "]") if opening in "([" else closing):
            end = text[-len(closing) :]
            elements = _split(text[len(opening) : -len(closing)])
            return (opening + end, elements) if elements and len(elements) > 1 else None
    elements = _split(text)
    return ("", elements) if elements and len(elements) > 1 else None


def _split(text: str) -> list[str] | None:
    """The text split at its outer commas; None if its brackets do not match."""
    depth, cuts = 0, [-1]
    for at, char in enumerate(text):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(char, 0)
        if depth < 0:
            return None
        if char == "," and depth == 0:
            cuts.append(at)
    return [text[a + 1 : b] for a, b in pairwise([*cuts, len(text)])] if depth == 0 else None


def _same_parts(left: tuple[str, list[str]], right: tuple[str, list[str]], language: str) -> bool:
    unordered = ("", "\\{\\}")
    loose = left[0] in unordered and right[0] in unordered
    if len(left[1]) != len(right[1]) or not (loose or left[0] == right[0]):
        return False
    if not loose:
        return all(same_formula(a, b, language) for a, b in zip(left[1], right[1], strict=True))
    rest = list(right[1])
    for element in left[1]:
        match = next((r for r in rest if same_formula(element, r, language)), None)
        if match is None:
            return False
        rest.remove(match)
    return True


def _equivalent(left: str, right: str) -> bool:
    """The verdict of `math-verify`; False for formulae that it cannot finish in time."""
    if max(len(left), len(right)) > _LONGEST or any(map(_INTRACTABLE.search, (left, right))):
        return False
    from math_verify import parse, verify

    # `math-verify` implements its time limit with signals, which only the main thread receives.
    seconds = _SECONDS if threading.current_thread() is threading.main_thread() else None
    gold, target = (parse(f"${text}$", parsing_timeout=seconds) for text in (left, right))
    # An interval and an inequality are equal in one direction only.
    return bool(
        verify(gold, target, timeout_seconds=seconds)
        or (_RELATION.search(left + right) and verify(target, gold, timeout_seconds=seconds))
    )
