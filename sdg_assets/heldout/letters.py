"""Text reduced to its letters and digits, so that copies are equal however they are dressed up.

What is taken away or made alike, in this order: letter spacing ("w o r d s"), HTML entities and
tags, compatibility forms and combining marks (NFKD), digits of other scripts, look-alikes of other
scripts (the confusables of Unicode's UTS #39), case, thousands separators and zeros behind a
decimal point (1,800.0 is 1800), spaces and punctuation, and English number words (eighteen is 18).

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

# A text whose every second character is a space, a point or a hyphen is letter-spaced; in prose
# every sixth is a space.
_SPACED_SHARE = 0.4
_SPACED_LENGTH = 12
_SPACING = {
    sign: re.compile(f"(?<=[^{re.escape(sign)}]){re.escape(sign)}(?=[^{re.escape(sign)}])")
    for sign in " .-"
}
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,500}>")
# From so many texts on, their signs are counted together: for fewer, one by one is faster.
_MANY_TEXTS = 64
# A pattern that begins with a fixed character is looked for at a tenth of the price.
_THOUSANDS = [
    re.compile(pattern)
    for pattern in (
        r",(?<=\d,)(?=\d{3}(?!\d))",
        r"'(?<=\d')(?=\d{3}(?!\d))",
        r"_(?<=\d_)(?=\d{3}\b)",
    )
]
_SPACED_THOUSANDS = re.compile(r" (?<=\d )(?=\d{3}(?!\d))")
_POINTLESS = re.compile(r"\.(?<=\d\.)0+(?!\d)")
_TRAILING_ZEROS = re.compile(r"(\.(?<=\d\.)\d*[1-9])0+(?!\d)")
_CLAUSE = re.compile(r"[^\w\s'-]+")
# An answer of so many words may be a number with its unit.
_FEW_WORDS = 6
_DIGIT = re.compile("[0-9]")
_WRITTEN_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_ASCII_PUNCTUATION = bytes(
    code for code in range(128) if not chr(code).isalnum() and chr(code) != FIELD
)
_WITHOUT_PUNCTUATION = dict.fromkeys(_ASCII_PUNCTUATION)
# One such character says as much as two letters do.
_WIDE = re.compile(
    "[\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
_HANGUL = re.compile("([\uac00-\ud7af])")
_OTHER_ALPHABET = re.compile("[\u0370-\u052f]")
_ALPHABETS = {
    "LATIN": re.compile("[A-Za-z]"),
    "CYRILLIC": re.compile("[\u0400-\u052f]"),
    "GREEK": re.compile("[\u0370-\u03ff]"),
}
# A text of which so much is letters that look like no Latin one is in their alphabet.
_PLAINLY_OTHER = 0.1
_DECIMAL_SIGNS = {ord("٫"): ".", ord("٬"): ",", ord("’"): "'", ord("\u2044"): "/"}


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
    if text.isascii() and "&" not in text and not _DIGIT.search(text):
        return ""  # most answers: what is left of them has no digit either
    (plain,) = _dressed_down([text])
    found = _WRITTEN_NUMBER.findall(plain)
    return found[0] if len(found) == 1 and len(plain.split()) <= _FEW_WORDS else ""


def _dressed_down(texts: Sequence[str]) -> list[str]:
    """The texts without markup, case, and typography of numbers; spaces and punctuation stand."""
    folded = _all_folded(texts)
    joined = FIELD.join(folded)
    if joined.count(FIELD) != len(folded) - 1:
        joined = FIELD.join(text.replace(FIELD, " ") for text in folded)
    joined = _SPACED_THOUSANDS.sub("", _without_thousands(joined))
    joined = _TRAILING_ZEROS.sub(r"\1", _POINTLESS.sub("", joined))
    return joined.split(FIELD)


def _without_thousands(text: str) -> str:
    """The text without separators of thousands; all are found before the first is taken out."""
    signs = sorted(sign.start() for pattern in _THOUSANDS for sign in pattern.finditer(text))
    starts, ends = [0, *(sign + 1 for sign in signs)], [*signs, len(text)]
    return "".join(text[start:end] for start, end in zip(starts, ends, strict=True))


def _all_folded(texts: Sequence[str]) -> list[str]:
    """`_folded` of each text. Most texts are plain ASCII prose: nothing but their case changes."""
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
    """Places of texts that may be letter-spaced: all signs are counted at once."""
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
    text = unicodedata.normalize("NFKD", text)
    text = text.translate(_folding(_alphabet(text)))
    # Hangul, which NFKD has taken apart.
    return _HANGUL.sub(r"\1\1", unicodedata.normalize("NFC", text))


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
        if not folded.isalnum():
            return " "
        return 2 * folded if _WIDE.fullmatch(folded) else folded


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
    joined = FIELD.join(texts)
    if joined.isascii():
        joined = joined.encode("ascii").translate(None, _ASCII_PUNCTUATION).decode("ascii")
    else:
        joined = joined.translate(_WITHOUT_PUNCTUATION)
    return in_digits(joined).split(FIELD)
