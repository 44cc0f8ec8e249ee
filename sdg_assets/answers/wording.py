"""Folds text for comparison, so that differences of typography and case disappear."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

# Scripts without spaces between words, and Hangul, whose particles are attached to the noun. Each
# of their characters is a token, so that a name is recognized inside a run of text.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
# Python's \w excludes combining marks, but Indic words contain them.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0966-\u0dff\u0f18-\u0fbc"
)
_TOKEN = re.compile(
    # A hyphen is a minus if a number follows it, and neither a number nor a word precedes it.
    r"(?:(?<![\w.,%)\]])[-+])?(?:\d+(?:[.,:]\d+)*|(?<!\w)\.\d+)"
    rf"|[{UNSPACED}]|(?:[^\W\d_{UNSPACED}]|[{_MARKS}])+"
    # Symbols that carry meaning (C++, C#, 5%, <, emoji). Other punctuation is no token.
    r"|[-+](?=\$)|[%#+<>=^$¢-¥°±×÷√∞≠-≥₠-⃀\u2190-\u21ff\u2600-\u27bf\U0001f000-\U0001faff]"
)
# The same for ASCII texts, which most texts are: it has no class with a hundred ranges, and so
# takes less than half the time.
_ASCII_TOKEN = re.compile(
    r"[A-Za-z]+|(?:(?<![\w.,%)\]])[-+])?(?:\d+(?:[.,:]\d+)*|(?<!\w)\.\d+)|[-+](?=\$)|[%#+<>=^$]"
)
_ABBREVIATION = re.compile(r"\b(?:[^\W\d_]\.){2,}")
# Signs of logic and sets, which `normalized` drops: p ∧ q was the same as p ∨ q. Without ∼, ≈, dots
# and strokes, which answers in prose leave out as well.
_LOGIC = re.compile(r"[¬∀-∑∓∔∖∘∝-∡∣-∵∷-∻∽-≇≉-≟≦-⋃⋎-⋿⨀-⫿]")
# A negation of one letter (~p, !p), and the prime of f'(x). No prime: rock n' roll, l'eau, 'a'.
_NOT_OR_PRIME = re.compile(r"(?<!\w)[~!](?=[^\W\d_]\b)|(?<![\w'])[^\W\d_]'(?!\s?[^\W_])")
# The sign at the end of O- and Cl-.
_SIGNED = re.compile(r"[\w)]-[\s.*]*$")
# An operator between numbers or letters (a/b, 3-2); none between words (and/or), in a date, or
# after or before a year (1939/40). Dates match as a whole, without a group.
_OPERATOR = re.compile(
    r"\d+([-/])\d+\1\d+"
    r"|(?<=[\w)])(?<![^\W\d_]{2})(?<!\d{4})\s?([-/*·⋅])\s?(?=[\w(])(?![^\W\d_]{2}|\d{4})"
)
_OPERATORS = frozenset("-/*·⋅")
_LAST_INITIALS = re.compile(r"\b(?:[^\W\d_]\.)+[^\W\d_]$")
# A pattern that starts with a fixed character is searched for in a tenth of the time.
_THOUSANDS = re.compile(r",(?<=\d,)(?=\d{3}\b)")
_APOSTROPHE = re.compile(r"'(?<=[^\W\d_]{2}')(?=[^\W\d_])")
_FRACTIONS = {
    ord(c): f" {n}/{d} "
    for c, n, d in [
        ("½", 1, 2), ("⅓", 1, 3), ("⅔", 2, 3), ("¼", 1, 4), ("¾", 3, 4), ("⅕", 1, 5), ("⅖", 2, 5),
        ("⅗", 3, 5), ("⅘", 4, 5), ("⅙", 1, 6), ("⅚", 5, 6), ("⅐", 1, 7), ("⅛", 1, 8), ("⅜", 3, 8),
        ("⅝", 5, 8), ("⅞", 7, 8), ("⅑", 1, 9), ("⅒", 1, 10),
    ]
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
# Variants of one character (minus signs and non-breaking hyphens, Arabic number signs, alef and yeh
# forms) and characters to remove (tatweel and short vowels, zero-width characters).
_VARIANTS = str.maketrans(
    dict.fromkeys("−‐‑–﹣－", "-")
    | {"٫": ".", "٬": ",", "٪": "%", "⁄": "/", "’": "'", "‘": "'", "ʼ": "'"}
    | dict.fromkeys("أإآٱ", "ا")
    | {"ى": "ي", "ی": "ي", "ک": "ك", "ۀ": "ه"}
    | dict.fromkeys("ـًٌٍَُِّْٰ\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad", "")
)
_ARTICLES = {
    "en": {"a", "an", "the"},
    "es": {"el", "la", "los", "las", "un", "una", "unos", "unas"},
    "fr": {"le", "la", "les", "l", "un", "une", "des", "du"},
    "de": {
        "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "eines", "einer",
    },
    "it": {"il", "lo", "la", "i", "gli", "le", "l", "un", "uno", "una"},
    "pt": {"o", "a", "os", "as", "um", "uma", "uns", "umas"},
    "vi": {"của", "là", "cái", "chiếc", "những"},
}  # fmt: skip
_ENCLOSED = [
    ('"', '"'), ("'", "'"), ("“", "”"), ("„", "“"), ("‘", "’"), ("«", "»"), ("「", "」"),
    ("『", "』"), ("《", "》"), ("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"),
    ("\\boxed{", "}"), ("\\fbox{", "}"), ("\\text{", "}"),
]  # fmt: skip
_FINAL = (".", "。", "\uff0c", "।", "؟", "!", "\uff01", ",", ";")
FORMAL = "!>"
"""The marks for which `unwrap` has to know whether a text is a formula."""
_MATH = frozenset(["$$", "$", "\\(", "\\[", "\\boxed{", "\\fbox{"])
_BULLET = re.compile(r"^(?:[•>]|#+|-(?!\s+[\d.$\\]))\s+")
_HAS_FACTORIAL = re.compile(r"(?:[\d)]|\b[^\W\d_])$")
_OPENING = frozenset(opening[0] for opening, _ in _ENCLOSED)


def typography(text: str) -> str:
    """Folds typography: NFKC, ASCII digits, `-` for minus, `^2` for ², ` 1/2 ` for ½."""
    if text.isascii():
        return text
    text = re.sub("[⁰¹²³⁴-⁹⁻]+", lambda m: "^" + m[0].translate(_SUPERSCRIPTS), text)
    text = unicodedata.normalize("NFKC", text.translate(_FRACTIONS)).translate(_VARIANTS)
    return re.sub(r"\d", lambda m: str(int(m[0])), text)


def tokens(text: str) -> Iterator[re.Match[str]]:
    """Words, numbers and meaningful symbols of a text; apply `typography` to the text first."""
    return _TOKEN.finditer(text)


def normalized(text: str, language: str = "en") -> str:
    """Text folded for comparison: without case, punctuation and articles, in any script.

    Source: SQuAD's rule, with MLQA's articles for other languages. Unlike these it keeps decimal
    points, signs and symbols: 1.5 is not 15, -5 is not 5, C++ is not C.
    """
    fold = _folded_again if len(text) <= _SHORT else _folded_once
    return fold(text, language)


def _folded(text: str, language: str) -> str:
    plain = typography(text).casefold()
    if plain.count(".") > 1:
        plain = _ABBREVIATION.sub(lambda m: m[0].replace(".", ""), plain)  # U.S. = US
    plain = _THOUSANDS.sub("", plain)
    plain = _APOSTROPHE.sub("", plain)  # Newton's, but l'eau
    articles = _ARTICLES.get(language, _ARTICLES["en"])
    words = (_ASCII_TOKEN if plain.isascii() else _TOKEN).findall(plain)
    if language == "ar":
        words = [w.removeprefix("ال") if len(w) > 4 else w for w in words]
    return " ".join([w for w in words if w not in articles] or words) or text.strip()


def alike(left: str, right: str, language: str = "en") -> bool:
    """Whether two answers differ only in typography, case, punctuation and articles.

    A hyphen or slash may be missing (New-York, and/or), but 3-2 is not 3/2.
    """
    if left == right:
        return True
    if comparable(left, language) != comparable(right, language):
        return False
    operators, others = _operators(left), _operators(right)
    return operators == others or not operators or not others


def _operators(text: str) -> list[str]:
    plain = typography(text)
    if _OPERATORS.isdisjoint(plain):
        return []
    operators = [m[2] for m in _OPERATOR.finditer(plain) if m[2]]
    return ["*" if operator in "·⋅" else operator for operator in operators]


def comparable(text: str, language: str = "en") -> str:
    """An answer folded for comparison with another one: `normalized`, but with its signs.

    Only case and white space of a formula (p ∧ q, f'(x)) are folded. O- is not O, and "D.C" is
    "D.C.".
    """
    plain = typography(text).replace("′", "'")
    if _is_formal(plain):
        return "".join(unwrap(plain).casefold().split())
    folded = normalized(with_last_stop(text), language)
    return f"{folded} -" if "-" in plain[-4:] and _SIGNED.search(plain) else folded


def _is_formal(plain: str) -> bool:
    """Whether a text has signs that only formulae have."""
    if not plain.isascii() and _LOGIC.search(plain):
        return True
    has_mark = "'" in plain or "!" in plain or "~" in plain
    return has_mark and _NOT_OR_PRIME.search(plain) is not None


def with_last_stop(text: str) -> str:
    """The text with the full stop of an abbreviation at its end: "D.C" becomes "D.C."."""
    return f"{text}." if text[-2:-1] == "." and _LAST_INITIALS.search(text) else text


def ends_in_abbreviation(text: str) -> bool:
    """Whether the full stop at the end of a text is part of an abbreviation: "D.C."."""
    return with_last_stop(text[:-1]) == text


# A row's question, choices and answer are compared with each of its votes, and again with the texts
# that are written for the row, a batch later. Long texts would take too much memory for that.
_SHORT = 256
_folded_again = lru_cache(maxsize=1 << 12)(_folded)
_folded_once = lru_cache(maxsize=64)(_folded)


def unwrap(text: str, keeps: str = "") -> str:
    r"""Strips Markdown, quotes, math delimiters, \boxed and a final full stop from an answer.

    Args:
        text: The answer.
        keeps: Marks that prose uses as well, but that are part of a formula here: the factorial of
            "5!", the sign of "> 5". Between math delimiters both are always kept.
    """
    previous = None
    while text != previous:
        if text[:1].isalnum() and text[-1:].isalnum():  # the usual case: nothing encloses it
            return text
        previous = text
        text = text.strip()
        if text[:1] != ">" or ">" not in keeps:
            text = _BULLET.sub("", text)
        text = text.strip("*`").strip()
        text = text.strip("_") or text  # only underscores: a blank to fill in, kept
        for opening, closing in _ENCLOSED if text[:1] in _OPENING else ():
            inner = text[len(opening) : -len(closing)]
            if (
                len(text) > len(opening) + len(closing)
                and text.startswith(opening)
                and text.endswith(closing)
                and _is_one(inner, opening, closing)
            ):
                text = inner
                keeps = FORMAL if opening in _MATH else keeps
        # "D.C." without its last stop was another answer than the writer's: no vote agreed.
        if text.endswith(_FINAL) and not (text.endswith("..") or ends_in_abbreviation(text)):
            is_factorial = "!" in keeps and _ends_in_factorial(text)
            text = text if is_factorial else text.rstrip(text[-1])
    return text


def marks_of(answers: Iterable[str]) -> str:
    """The marks that `unwrap` must keep in prose, because one of the answers has them."""
    answers = list(answers)
    is_factorial = any(map(_ends_in_factorial, answers))
    is_relation = any(answer[:1] == ">" for answer in answers)
    return "!" * is_factorial + ">" * is_relation


def _ends_in_factorial(text: str) -> bool:
    """Whether the exclamation marks at the end follow a digit, a bracket or a single letter."""
    # Only the end is searched: `unwrap` asks again for each mark that it strips.
    return text[-1:] == "!" and _HAS_FACTORIAL.search(text.rstrip("!")[-2:]) is not None


def _is_one(inner: str, opening: str, closing: str) -> bool:
    """Whether one pair of delimiters encloses the text: not so for `$a$ or $b$`."""
    if closing != "}":
        return opening not in inner and closing not in inner
    depth = 0
    for char in inner:
        depth += {"{": 1, "}": -1}.get(char, 0)
        if depth < 0:
            return False
    return depth == 0
