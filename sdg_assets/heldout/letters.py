"""Folds text to its letters and digits, so that copies are equal despite different typography.

Removed or unified, in this order: letter spacing ("w o r d s"), HTML entities and tags,
compatibility forms and combining marks (NFKD), digits of other scripts, letters of other scripts
that look Latin (the confusables of Unicode's UTS #39), forms of Arabic letters, case, thousands
separators and zeros at the end of a decimal number (1,800.0 is 1800), spaces and punctuation, and
English number words (eighteen is 18).

Number words are replaced last, see `number_words`.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from sdg_assets.heldout.number_words import FIELD, in_digits

# A text is letter-spaced if every second character is a space, a point or a hyphen; in prose, every
# sixth character is a space.
_SPACED_SHARE = 0.4
_SPACED_LENGTH = 12
_SPACING = {
    sign: re.compile(f"(?<=[^{re.escape(sign)}]){re.escape(sign)}(?=[^{re.escape(sign)}])")
    for sign in " .-"
}
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,500}>")
# From this many texts on, their signs are counted together; one by one is faster for fewer texts.
_MANY_TEXTS = 64
# Searching for a pattern that begins with a fixed character takes a tenth of the time.
_THOUSANDS = [
    re.compile(pattern)
    for pattern in (
        r",(?<=\d,)(?=\d{3}(?!\d))",
        r"'(?<=\d')(?=\d{3}(?!\d))",
        r"_(?<=\d_)(?=\d{3}\b)",
        r",\\!(?<=\d,\\!)(?=\d{3}(?!\d))",  # LaTeX: 10,\!000, 10{,}000 and 10\,000
        r"\{,\}(?<=\d\{,\})(?=\d{3}(?!\d))",
        r"\\,(?<=\d\\,)(?=\d{3}(?!\d))",
    )
]
_SPACED_THOUSANDS = re.compile(r" (?<=\d )(?=\d{3}(?!\d))")
_POINTLESS = re.compile(r"\.(?<=\d\.)0+(?!\d)")
_TRAILING_ZEROS = re.compile(r"(\.(?<=\d\.)\d*[1-9])0+(?!\d)")
_RAISED_OR_LOWERED = re.compile("(?<=[0-9])(?=[²³¹⁰⁴-⁹₀-₉])")
_CLAUSE = re.compile(r"[^\w\s'-]+")
# An answer of at most this many words may be a number with its unit.
_FEW_WORDS = 6
_DIGIT = re.compile("[0-9]")
_WRITTEN_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_ASCII_PUNCTUATION = bytes(
    code for code in range(128) if not chr(code).isalnum() and chr(code) != FIELD
)
_WITHOUT_PUNCTUATION = dict.fromkeys(_ASCII_PUNCTUATION)
# One such character carries as much information as two letters.
_WIDE = re.compile(
    "[\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_HANGUL = re.compile("([\uac00-\ud7af])")
_LATIN_LETTER = re.compile("[A-Za-z]")
_WORD = re.compile(r"[^\W\d_]+")
# The Greek capitals look like N and Y, their small forms like v and u. In a Greek word both cases
# must be equal; in a word with Latin letters, the capitals are N and Y.
_AMBIGUOUS = "ΝΥ"
_LATIN_CAPITALS = str.maketrans(_AMBIGUOUS, "NY")
_OTHER_FORMS = {"٫": ".", "٬": ",", "’": "'", "\u2044": "/"}
# Ways to write one Arabic word: a stroke stretches it, Persian keyboards have a yeh and a kaf of
# their own, and many writers leave out the dots of final letters. With Persian letters, 117 of 300
# questions of XQuAD in Arabic were recognized; with strokes, 83.
_ARABIC_FORMS = {
    "\u0640": None,  # tatweel
    "\u06cc": "\u064a",  # Persian yeh → yeh
    "\u0649": "\u064a",  # alef maksura → yeh
    "\u06a9": "\u0643",  # Persian kaf → kaf
    "\u0629": "\u0647",  # teh marbuta → heh
}


def plain_texts(texts: Sequence[str]) -> list[str]:
    """The letters and digits of each text; "" for a text without any.

    Args:
        texts: Any number of texts. They are folded together, which is ten times as fast.
    """
    return _stripped(_folded_with_spaces(texts)) if texts else []


def plain_text(text: str) -> str:
    """The letters and digits of one text."""
    return plain_texts([text])[0]


def written_numbers(text: str) -> set[str]:
    """The numbers that a text writes in digits, in one form: 1,800.0 and ١٨٠٠ are "1800"."""
    (folded,) = _folded_with_spaces([text])
    return set(_WRITTEN_NUMBER.findall(folded))


def all_numbers(text: str) -> set[str]:
    """`written_numbers`, and the numbers in English words: "eighteen" is "18"."""
    (folded,) = _folded_with_spaces([text])
    numbers = set(_WRITTEN_NUMBER.findall(folded))
    for pieces in (
        _stripped(_CLAUSE.split(folded)),
        _stripped(folded.split()),
        _stripped([folded]),
    ):
        for piece in pieces:
            numbers.update(_WRITTEN_NUMBER.findall(piece))
    return numbers


def only_number(text: str) -> str:
    """The number in a short text that has exactly one: "18" for "$18.00"; otherwise ""."""
    if text.isascii() and "&" not in text and not _DIGIT.search(text):
        return ""  # most answers; folding adds no digit to them
    (folded,) = _folded_with_spaces([text])
    numbers = _WRITTEN_NUMBER.findall(folded)
    return numbers[0] if len(numbers) == 1 and len(folded.split()) <= _FEW_WORDS else ""


def _folded_with_spaces(texts: Sequence[str]) -> list[str]:
    """The texts without markup, case and number typography, but with spaces and punctuation."""
    folded = _all_folded(texts)
    joined = FIELD.join(folded)
    if joined.count(FIELD) != len(folded) - 1:
        joined = FIELD.join(text.replace(FIELD, " ") for text in folded)
    joined = _SPACED_THOUSANDS.sub("", _without_thousands(joined))
    joined = _TRAILING_ZEROS.sub(r"\1", _POINTLESS.sub("", joined))
    return joined.split(FIELD)


def _without_thousands(text: str) -> str:
    """The text without thousands separators; all are located before any is removed."""
    signs = sorted(sign.span() for pattern in _THOUSANDS for sign in pattern.finditer(text))
    starts = [0, *(end for _, end in signs)]
    ends = [*(start for start, _ in signs), len(text)]
    return "".join(text[start:end] for start, end in zip(starts, ends, strict=True))


def _all_folded(texts: Sequence[str]) -> list[str]:
    """`_folded` of each text. Most texts are plain ASCII prose: only their case changes."""
    if len(texts) < _MANY_TEXTS:
        return [_folded(text) for text in texts]
    spaced = _letter_spaced(texts)
    return [
        text.lower()
        if text.isascii() and "&" not in text and "<" not in text and place not in spaced
        else _folded(text)
        for place, text in enumerate(texts)
    ]


def _letter_spaced(texts: Sequence[str]) -> set[int]:
    """Positions of texts that may be letter-spaced; each sign is counted in all texts at once."""
    import numpy as np

    codes = np.frombuffer("".join(texts).encode("ascii", "replace"), dtype=np.uint8)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    ends = np.append(0, np.cumsum(lengths))
    spaced: set[int] = set()
    for sign in _SPACING:
        counts = np.diff(np.searchsorted(np.flatnonzero(codes == ord(sign)), ends))
        spaced.update(np.flatnonzero(counts > _SPACED_SHARE * lengths).tolist())
    return spaced


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
    # 10² holds the numbers 10 and 2, as 10^2 does; NFKD alone makes it 102.
    text = unicodedata.normalize("NFKD", _RAISED_OR_LOWERED.sub("^", text))
    if any(map(text.__contains__, _AMBIGUOUS)):
        text = _WORD.sub(_in_latin_capitals, text)
    # Compose the Hangul syllables that NFKD has decomposed.
    return _HANGUL.sub(r"\1\1", unicodedata.normalize("NFC", text.translate(_folding())))


def _in_latin_capitals(word: re.Match[str]) -> str:
    """The word; if it has Latin letters, its Greek capitals are meant to be Latin as well."""
    letters = word[0]
    return letters.translate(_LATIN_CAPITALS) if _LATIN_LETTER.search(letters) else letters


class _Folding(dict[int, str | None]):
    """Character → its folded form, which does not depend on the text around it.

    Each letter of another alphabet becomes the Latin letter that it looks like, in any text. When
    a text's own alphabet was kept instead, a held-out question that was quoted in a text of the
    other alphabet folded to other letters than alone: of 300 questions of GSM8K in a Russian
    background, none was found.
    """

    def __missing__(self, code: int) -> str | None:
        self[code] = folded = self._fold(chr(code))
        return folded

    def _fold(self, char: str) -> str | None:
        category = unicodedata.category(char)
        if category in ("Mn", "Mc", "Me", "Cf"):
            return None
        if category == "Nd":
            return str(unicodedata.digit(char))
        if char.isascii():
            return char.casefold()
        folded = _latin(char)
        if not folded.isalnum():
            return " "
        return 2 * folded if _WIDE.fullmatch(folded) else folded


def _latin(char: str) -> str:
    """The small Latin letter that a letter looks like, or else its own small form.

    Both cases give the same letter, as only one of them may look Latin: Н is an H, so н is an h.
    """
    small = char.casefold()
    look_alikes = _look_alikes()
    alike = look_alikes.get(small) or look_alikes.get(small.upper()) or look_alikes.get(char)
    return alike.casefold() if alike else small


@cache
def _folding() -> _Folding:
    return _Folding(str.maketrans({**_OTHER_FORMS, **_ARABIC_FORMS}))


@cache
def _look_alikes() -> dict[str, str]:
    """Letter of another alphabet → the Latin letter that it looks like, of the same case."""
    data = json.loads(
        files("confusable_homoglyphs").joinpath("confusables.json").read_text("utf-8")
    )
    look_alikes: dict[str, str] = {}
    for char, others in data.items():
        if len(char) > 1 or char.isascii() or not char.isalpha():
            continue
        latin = [o["c"] for o in others if _LATIN_LETTER.fullmatch(o["c"])]
        # UTS #39 lists l for I; for a capital look-alike, I is meant.
        latin = ["I" if other == "l" and char.isupper() else other for other in latin]
        alike = [other for other in latin if other.isupper() == char.isupper()]
        if latin:
            look_alikes[char] = (alike or latin)[0]
    return look_alikes


def _stripped(texts: Sequence[str]) -> list[str]:
    """The letters and digits only, with number words replaced by digits."""
    joined = FIELD.join(texts)
    if joined.isascii():
        joined = joined.encode("ascii").translate(None, _ASCII_PUNCTUATION).decode("ascii")
    else:
        joined = joined.translate(_WITHOUT_PUNCTUATION)
    return in_digits(joined).split(FIELD)
