"""Replaces English number words by digits: "eighteen" is 18, "three hundred and five" is 305.

Texts have no spaces here ("threehundredandfive"), so words inside other words are replaced, too
("stone" becomes "st1"). This is harmless because both sides of a comparison are treated alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, partial

# Separates texts that are processed as one.
FIELD = "\x1f"
_DOLLARS = re.compile(r"(?<=\d)dollars?")  # "$18" loses its sign, so "18 dollars" must be 18, too
_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# If two words begin alike, the longer one comes first: sixteen, then six.
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
# From this many characters on, one search for all words is faster than one search per word.
_MANY_CHARACTERS = 4096
# Characters of a piece, at least. Few pieces must be processed word by word; short pieces keep that
# part small.
_PIECE = 1024
# The patterns begin with the word: beginning with digits, they would be tried at every digit.
_SCALES = [
    (scale, re.compile(rf"{word}(?<=\d{word})(?:and)?(?:(\d{{1,{width}}})(?!\d))?"))
    for word, scale, width in (("hundred", 100, 2), ("thousand", 1_000, 3), ("million", 10**6, 6))
]


def in_digits(text: str) -> str:
    """The text with its number words replaced by digits.

    Args:
        text: Any number of folded texts, joined by `FIELD`.
    """
    text = _small_numbers(text)
    for scale, pattern in _SCALES:
        text = _scaled(text, scale, pattern)
    return _DOLLARS.sub("", text) if "dollar" in text else text


def _small_numbers(text: str) -> str:
    """The text with number words up to ninety-nine replaced, as `_word_by_word` does it.

    A search for all words at once takes a fifth of the time. It goes wrong for a few pieces: those
    with a word made of two numbers ("twentyone") or with overlapping words. These pieces are
    processed word by word.

    Args:
        text: Any number of texts, joined by `FIELD`.
    """
    if len(text) < _MANY_CHARACTERS:
        return _word_by_word(text)
    import polars as pl

    pieces = [*_pieces(text)]
    column = pl.Series(pieces, dtype=pl.String)
    words, digits = zip(*_ATOMS, strict=True)
    replaced = column.str.replace_many([*words], [*digits], leftmost=True).to_list()
    for place in column.str.contains_any([*_TENS, *_overlapping()]).arg_true():
        replaced[place] = _word_by_word(pieces[place])
    return "".join(replaced)


def _pieces(text: str) -> Iterator[str]:
    """The text, cut at ends of fields into pieces of at least `_PIECE` characters."""
    start = 0
    while (end := text.find(FIELD, start + _PIECE)) >= 0:
        yield text[start:end]
        start = end
    yield text[start:]


def _word_by_word(text: str) -> str:
    for pattern, tens in _TENS_AND_ONES:
        text = pattern.sub(partial(_ten_and_one, tens), text)
    for word, digits in _ATOMS:
        text = text.replace(word, digits)
    return text


@cache
def _overlapping() -> list[str]:
    """Pairs of overlapping words of `_ATOMS`, such as "twone", of which the second is replaced.

    A search for all words at once would replace the first one instead.
    """
    words = [word for word, _ in _ATOMS]
    return [
        left + right[shared:]
        for place, right in enumerate(words)
        for left in words[place + 1 :]
        for shared in range(1, min(len(left), len(right)))
        if left.endswith(right[:shared])
    ]


def _ten_and_one(tens: int, match: re.Match[str]) -> str:
    return str(10 * tens + (_ONES.index(match[1]) + 1 if match[1] else 0))


def _scaled(text: str, scale: int, pattern: re.Pattern[str]) -> str:
    """The text with "3hundredand5" written as 305; at most three digits precede a scale word."""
    pieces, end = [], 0
    for match in pattern.finditer(text):
        first = start = match.start()
        while first > max(end, start - 3) and text[first - 1].isdecimal():
            first -= 1
        if first < start:
            number = int(text[first:start]) * scale + int(match[1] or 0)
            pieces += [text[end:first], str(number)]
            end = match.end()
    return "".join([*pieces, text[end:]])
