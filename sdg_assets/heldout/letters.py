"""Text reduced to its letters and digits, so that copies are equal however they are dressed up.

What is taken away or made alike, in this order: letter spacing ("w o r d s"), HTML entities and
tags, compatibility forms and combining marks (NFKD), digits of other scripts, look-alikes of other
scripts (the confusables of Unicode's UTS #39), case, thousands separators and zeros behind a
decimal point (1,800.0 is 1800), spaces and punctuation, and English number words (eighteen is 18).

Number words are replaced inside of words as well ("stone" becomes "st1"): both sides of a
comparison are treated alike, and without its spaces a text has no words any more.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Sequence
from functools import cache, partial
from importlib.resources import files

_FIELD = "\x1f"
# A text whose every second character is a space, a point or a hyphen is letter-spaced; in prose
# every sixth is a space.
_SPACED_SHARE = 0.4
_SPACED_LENGTH = 12
_SPACING = {
    sign: re.compile(f"(?<=[^{re.escape(sign)}]){re.escape(sign)}(?=[^{re.escape(sign)}])")
    for sign in " .-"
}
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,500}>")
# A pattern that begins with a fixed character is looked for at a tenth of the price.
_THOUSANDS = re.compile(r",(?<=\d,)(?=\d{3}(?!\d))|'(?<=\d')(?=\d{3}(?!\d))|_(?<=\d_)(?=\d{3}\b)")
_SPACED_THOUSANDS = re.compile(r" (?<=\d )(?=\d{3}(?!\d))")
_POINTLESS = re.compile(r"\.(?<=\d\.)0+(?!\d)")
_TRAILING_ZEROS = re.compile(r"(\.(?<=\d\.)\d*[1-9])0+(?!\d)")
_DOLLARS = re.compile(r"(?<=\d)dollars?")  # $18, whose sign is gone, is 18 dollars
_CLAUSE = re.compile(r"[^\w\s'-]+")
# An answer of so many words may be a number with its unit.
_FEW_WORDS = 6
_WRITTEN_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_ASCII_PUNCTUATION = bytes(
    code for code in range(128) if not chr(code).isalnum() and chr(code) != _FIELD
)
_WITHOUT_PUNCTUATION = dict.fromkeys(_ASCII_PUNCTUATION)
# One such character says as much as two letters do.
_WIDE = re.compile(
    "([\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff])"
)
_OTHER_ALPHABET = re.compile("[\u0370-\u052f]")
_ALPHABETS = {
    "LATIN": re.compile("[A-Za-z]"),
    "CYRILLIC": re.compile("[\u0400-\u052f]"),
    "GREEK": re.compile("[\u0370-\u03ff]"),
}
# A text of which so much is letters that look like no Latin one is in their alphabet.
_PLAINLY_OTHER = 0.1
_DECIMAL_SIGNS = {ord("٫"): ".", ord("٬"): ",", ord("’"): "'", ord("\u2044"): "/"}
_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# The longer of two that begin alike comes first: sixteen, then six.
_TEENS = {
    word: number
    for number, word in enumerate(
        [
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ],
        10,
    )
}
_ATOMS = [
    *((word, str(number)) for word, number in sorted(_TEENS.items(), key=lambda n: -len(n[0]))),
    *((word, str(number)) for number, word in enumerate(_ONES, 1)),
    ("zero", "0"),
]
_TENS_AND_ONES = [(re.compile(f"{ten}({'|'.join(_ONES)})?"), n) for n, ten in enumerate(_TENS, 2)]
# A pattern that began with the digits before the word would be tried at each digit of a text.
_SCALES = [
    (scale, re.compile(rf"{word}(?<=\d{word})(?:and)?(?:(\d{{1,{width}}})(?!\d))?"))
    for word, scale, width in (("hundred", 100, 2), ("thousand", 1_000, 3), ("million", 10**6, 6))
]


def plain_texts(texts: Sequence[str]) -> list[str]:
    """The letters and digits of each text; "" for a text that has none.

    Args:
        texts: Any number of texts. They are worked on as one: that is ten times as fast.
    """
    return _stripped(_dressed_down(texts)) if texts else []


def plain_text(text: str) -> str:
    """The letters and digits of one text."""
    return plain_texts([text])[0]


def written_numbers(text: str) -> set[str]:
    """The numbers that a text writes in digits, in one form: 1,800.0 and ١٨٠٠ are "1800"."""
    (plain,) = _dressed_down([text])
    return set(_WRITTEN_NUMBER.findall(plain))


def all_numbers(text: str) -> set[str]:
    """`written_numbers`, and those in English words: "eighteen" is "18"."""
    (plain,) = _dressed_down([text])
    found = set(_WRITTEN_NUMBER.findall(plain))
    for some in (_stripped(_CLAUSE.split(plain)), _stripped(plain.split()), _stripped([plain])):
        for piece in some:
            found.update(_WRITTEN_NUMBER.findall(piece))
    return found


def only_number(text: str) -> str:
    """The number of a short text that writes one and no other: "18" for "$18.00"; or ""."""
    (plain,) = _dressed_down([text])
    found = _WRITTEN_NUMBER.findall(plain)
    return found[0] if len(found) == 1 and len(plain.split()) <= _FEW_WORDS else ""


def _dressed_down(texts: Sequence[str]) -> list[str]:
    """The texts without markup, case, and typography of numbers; spaces and punctuation stand."""
    folded = [_folded(text) for text in texts]
    joined = _FIELD.join(folded)
    if joined.count(_FIELD) != len(folded) - 1:
        joined = _FIELD.join(text.replace(_FIELD, " ") for text in folded)
    joined = _SPACED_THOUSANDS.sub("", _THOUSANDS.sub("", joined))
    joined = _TRAILING_ZEROS.sub(r"\1", _POINTLESS.sub("", joined))
    return joined.split(_FIELD)


def _folded(text: str) -> str:
    if len(text) >= _SPACED_LENGTH:
        for sign, spacing in _SPACING.items():
            if text.count(sign) > _SPACED_SHARE * len(text):
                text = spacing.sub("", text)
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    return text.lower() if text.isascii() else _without_typography(text)


def _without_typography(text: str) -> str:
    text = unicodedata.normalize("NFKD", text)
    text = text.translate(_folding(_alphabet(text)))
    # Hangul, which NFKD has taken apart.
    return _WIDE.sub(r"\1\1", unicodedata.normalize("NFC", text))


def _alphabet(text: str) -> str:
    """The alphabet that a text is written in, whatever look-alikes stand among its letters."""
    if not _OTHER_ALPHABET.search(text):
        return "LATIN"
    look_alikes = _look_alikes("LATIN")
    others = [c for c in _OTHER_ALPHABET.findall(text) if c not in look_alikes]
    if len(others) < _PLAINLY_OTHER * len(text):
        return "LATIN"
    return max(("CYRILLIC", "GREEK"), key=lambda name: len(_ALPHABETS[name].findall(text)))


class _Folding(dict[int, str | None]):
    """Character → what is compared in its stead, for a text in mostly one alphabet."""

    def __init__(self, look_alikes: dict[str, str]) -> None:
        super().__init__(_DECIMAL_SIGNS)
        self._look_alikes = look_alikes

    def __missing__(self, code: int) -> str | None:
        self[code] = folded = self._fold(chr(code))
        return folded

    def _fold(self, char: str) -> str | None:
        category = unicodedata.category(char)
        if category in ("Mn", "Mc", "Me", "Cf"):
            return None
        if category == "Nd":
            return str(unicodedata.digit(char))
        folded = self._look_alikes.get(char, char).casefold()
        if char.isascii():
            return folded
        return folded if folded.isalnum() else " "


@cache
def _folding(alphabet: str) -> _Folding:
    """Reads letters of other alphabets that look like letters of this one as those.

    A text in Cyrillic keeps its own letters: that А and Н look like Latin ones, and their small
    forms do not, would tell НОС from нос.
    """
    return _Folding(_look_alikes(alphabet))


@cache
def _look_alikes(alphabet: str) -> dict[str, str]:
    data = json.loads(
        files("confusable_homoglyphs").joinpath("confusables.json").read_text("utf-8")
    )
    look_alikes: dict[str, str] = {}
    for char, others in data.items():
        if len(char) > 1 or _is_of(alphabet, char) or not char.isalpha():
            continue
        own = [o["c"] for o in others if len(o["c"]) == 1 and _is_of(alphabet, o["c"])]
        # UTS #39 holds I for an l; in a capital letter it is the I that was meant.
        own = ["I" if other == "l" and char.isupper() else other for other in own]
        alike = [other for other in own if other.isupper() == char.isupper()]
        if own:
            look_alikes[char] = (alike or own)[0]
    return look_alikes


def _is_of(alphabet: str, char: str) -> bool:
    if alphabet == "LATIN":
        return char.isascii() and char.isalpha()
    return _ALPHABETS[alphabet].fullmatch(char) is not None


def _stripped(texts: Sequence[str]) -> list[str]:
    """Letters and digits alone, number words replaced."""
    joined = _FIELD.join(texts)
    if joined.isascii():
        joined = joined.encode("ascii").translate(None, _ASCII_PUNCTUATION).decode("ascii")
    else:
        joined = joined.translate(_WITHOUT_PUNCTUATION)
    for pattern, tens in _TENS_AND_ONES:
        joined = pattern.sub(partial(_ten_and_one, tens), joined)
    for word, digits in _ATOMS:
        joined = joined.replace(word, digits)
    for scale, pattern in _SCALES:
        joined = _scaled(joined, scale, pattern)
    if "dollar" in joined:
        joined = _DOLLARS.sub("", joined)
    return joined.split(_FIELD)


def _ten_and_one(tens: int, found: re.Match[str]) -> str:
    return str(10 * tens + (_ONES.index(found[1]) + 1 if found[1] else 0))


def _scaled(text: str, scale: int, pattern: re.Pattern[str]) -> str:
    """The text with "3hundred and5" written as 305: at most three digits stand before a scale."""
    pieces, end = [], 0
    for found in pattern.finditer(text):
        first = start = found.start()
        while first > max(end, start - 3) and text[first - 1].isdecimal():
            first -= 1
        if first < start:
            number = int(text[first:start]) * scale + int(found[1] or 0)
            pieces += [text[end:first], str(number)]
            end = found.end()
    return "".join([*pieces, text[end:]])
