"""The words by which passages are found and sentences compared: stems, without common words.

A stem is that of the Snowball stemmer for English (Porter, 2001); words of other languages mostly
stay as they are. Characters of scripts without spaces are words of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

from sdg_assets.answers.wording import normalized, typography

# Words that say nothing about the matter, and that a paraphrase changes freely.
_COMMON = """
about above after again also although always am among an and another any are around as at away be
because been before being below between both but by called can come could did do does doing done
down during each either else especially etc even every example few for form from generally get
give given gives go had has have having he help helps her here him his how however i if important
in instead into is it its itself just kind know known like likely main mainly make makes making
many may me means might more most much must my need needs new no nor not of off often on once one
only onto or other others our out over own part particular people person place process really same
see she should since so some someone something such than that the their them then there therefore
these they thing things this those through thus to together too type typically under until up upon
us use used uses using usually various very via was way we well were what when where whether which
while who whom whose why will with within without would yes you your
"""
_NEGATIONS = "not no never cannot none neither nor without nothing nobody nt"
_DIRECTIONS = """
more less most least higher lower larger smaller greater fewer faster slower increase decrease
rise fall before after above below all always only every north south east west hot cold same
opposite different longer shorter older younger warmer cooler stronger weaker closer farther first
last up down expand contract good poor easy hard fast slow inside outside increases decreases
rises falls
"""
_FROM_TWO = """
two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty
"""
COMMON = frozenset(_COMMON.split())
NEGATIONS = frozenset(_NEGATIONS.split())
DIRECTIONS = frozenset(_DIRECTIONS.split())
"""Words that turn a statement around: two texts that differ in them may say the opposite."""
_NUMBER_WORDS = {
    **{word: str(number) for number, word in enumerate(_FROM_TWO.split(), start=2)},
    **{"thirty": "30", "forty": "40", "fifty": "50", "hundred": "100", "thousand": "1000"},
}
_SENTENCE_END = re.compile(
    # Not after an abbreviation: in "the U.S. has" a small letter follows.
    r"(?<=[.!?…])(?<!\b[DM]r\.)(?<!\bSt\.)[\"'”»)\]]*\s+(?![a-z])|(?<=[。！？।])|\n+"
)
_HAS_LETTER_OR_DIGIT = re.compile(r"\w")
_BULLET = re.compile(r"^\s*(?:[-*•#>]+|\d+[.)])\s+", re.MULTILINE)
_NAME = re.compile(r"(?<=[\w,;:\"'”)\]] )[A-Z][\w'’-]+")


def sentences(text: str) -> list[str]:
    """The sentences of a text, without list marks; pieces without a letter are left out."""
    pieces = (piece.strip() for piece in _SENTENCE_END.split(_BULLET.sub("", text)))
    return [piece for piece in pieces if _HAS_LETTER_OR_DIGIT.search(piece)]


def words_of(text: str) -> list[str]:
    """The folded words of a text: lower case, without punctuation, number words as digits."""
    plain = typography(text).replace("n't", " not")
    return [_NUMBER_WORDS.get(word, word) for word in normalized(plain).split()]


def stems(text: str) -> list[str]:
    """The stems of a text's words, in order, without common words."""
    return list(_stems(words_of(text)))


def numbers_in(text: str) -> set[str]:
    """The numbers of a text, without signs and zeros that change nothing."""
    return {_plain_number(word) for word in words_of(text) if word[-1].isdigit()}


def names_in(sentence: str) -> set[str]:
    """The stems of capitalized words that do not begin the sentence."""
    return {
        stem
        for name in _NAME.findall(typography(sentence))
        for stem in _stems(words_of(name))
        if not stem[-1].isdigit()
    }


def _stems(words: list[str]) -> Iterator[str]:
    for word in words:
        if word[-1].isdigit():
            yield _plain_number(word)
        elif word[0].isalnum() and word not in COMMON:
            yield stem_of(word)


def _plain_number(word: str) -> str:
    number = word.lstrip("+-")
    return number.rstrip("0").rstrip(".") if "." in number else number


@lru_cache(maxsize=1 << 16)
def stem_of(word: str) -> str:
    """The stem of a folded word."""
    return str(_stemmer().stem(word))


@cache
def _stemmer() -> Any:  # noqa: ANN401 – nltk has no types
    from nltk.stem.snowball import EnglishStemmer

    return EnglishStemmer()
