"""Fingerprints that identify a text without storing it: hashes of its letters and of its n-grams.

Text hashes are xxHash3 of folded texts (see `letters`); n-gram hashes are a polynomial of the
characters. Both are the same on every machine and in every release, so they can be stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_64_intdigest

from sdg_assets.heldout.letters import only_number, plain_text, plain_texts
from sdg_assets.records import EnrichedExample, Example

if TYPE_CHECKING:
    import numpy as np

    Hashes = np.ndarray[Any, np.dtype[np.uint64]]
    Places = np.ndarray[Any, np.dtype[np.int64]]

# Letters and digits in an n-gram, across words. A CJK character, kana or Hangul syllable counts as
# two. Longer n-grams break at every edited word, shorter ones are in every text.
NGRAM = 8
# Nobody writes a longer answer twice in the same words.
LONGEST_ANSWER = 150
_MULTIPLIER = 0x9E3779B97F4A7C15
_SIGNS = "+-*/^=<>"
_LIKE_A_SIGN = str.maketrans("−–×·÷⁰¹²³⁴⁵⁶⁷⁸⁹", "--**/0123456789")
_POWER = re.compile("[²³¹⁰⁴-⁹]+")
# Signs between words (well-known, and/or) carry no information.
_SIGN = re.compile(r"(?<=[\d)}x])\s?([-+*/^=<>])|([-+*/^=<>])\s?(?=[\d({$\\x])")


def hash_of(plain: str) -> int:
    """The 64-bit hash of a folded text; 0 for an empty one."""
    return xxh3_64_intdigest(plain.encode("utf-8", "surrogatepass")) if plain else 0


def trained_texts(row: Example) -> list[str]:
    """Every text that a row may train on: its context first, its question second.

    A kept thought is in no training text of a release, but whoever keeps one may train on it.
    """
    texts = [row.context, row.question, *row.choices, row.answer, *row.aliases, row.solution]
    texts += row.tests
    if isinstance(row, EnrichedExample):
        texts += [row.reasoning, row.knowledge, *row.added_texts, row.thought]
    return texts


def plain_texts_of(rows: Sequence[Example]) -> list[list[str]]:
    """The folded texts of each row, in the order of `trained_texts`."""
    texts = [trained_texts(row) for row in rows]
    plain = iter(plain_texts([text for row in texts for text in row]))
    return [[next(plain) for _ in row] for row in texts]


def item_key(context: str, question: str, choices: Sequence[str]) -> int:
    """A key that is equal for rows that ask the same question, in any order of the choices.

    Context and question are joined: a row may have the context in front of its question. With the
    two apart, 14 of COPA's 100 questions were not recognized behind their premises.

    Args:
        context: The folded context.
        question: The folded question.
        choices: The folded choices, if written for this row; not yes and no or a task's labels.
    """
    return hash_of("\n".join([context + question, *sorted(choices)]))


def choices_key(choices: Sequence[str]) -> int:
    """A key that is equal for equal sets of folded choices; 0 for no choices."""
    return hash_of("\n".join(sorted(choices)))


def answer_key(answer: str) -> int:
    """A key that is equal for answers with equal letters or the same number; 0 for a long one."""
    return _answer_key(answer, plain_text(answer))


def answer_keys(answers: Sequence[str], plain: Sequence[str]) -> set[int]:
    """Every key under which one of several answers may be recorded.

    Args:
        answers: An answer and its aliases.
        plain: Their folded texts.
    """
    return {
        key
        for answer, letters in zip(answers, plain, strict=True)
        for key in (_answer_key(answer, letters), hash_of(letters))
    }


def _answer_key(answer: str, plain: str) -> int:
    if len(answer) <= LONGEST_ANSWER and (number := only_number(answer)):
        return hash_of(number.replace(".", ""))
    return hash_of(plain) if len(plain) <= LONGEST_ANSWER else 0


def number_keys(numbers: set[str]) -> list[int]:
    """The sorted hashes of the numbers."""
    return sorted(hash_of(number) for number in numbers)


def signs_of(text: str) -> int:
    """The mathematical signs next to a number or a bracket, as a bit mask with one bit per sign.

    Raised digits have the sign of a power: 10² is 10^2.
    """
    mask = 0
    if not text.isascii():
        text = _POWER.sub(r"^\g<0>", text).translate(_LIKE_A_SIGN)
    for sign in _SIGN.findall(text):
        mask |= 1 << _SIGNS.index(sign[0] or sign[1])
    return mask


def ngrams(plain: Sequence[str]) -> tuple[Hashes, Places]:
    """The hash of every n-gram, and the position of its text, ascending.

    Args:
        plain: Folded texts; a text shorter than an n-gram has none.
    """
    import numpy as np

    lengths = np.fromiter(map(len, plain), dtype=np.int64, count=len(plain))
    counts = np.maximum(lengths - NGRAM + 1, 0)
    places = np.repeat(np.arange(len(plain)), counts)
    starts = np.cumsum(lengths) - lengths
    firsts = np.arange(len(places)) + np.repeat(starts - np.cumsum(counts) + counts, counts)
    return _hashed("".join(plain))[firsts], places


def _hashed(text: str) -> Hashes:
    """The hash of the n-gram that starts at each character, except the last `NGRAM - 1`."""
    import numpy as np

    if text.isascii():
        codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    else:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    mixed, width, factor = codes.astype(np.uint64), 1, _MULTIPLIER
    while width < NGRAM:  # 1 + 1, 2 + 2, 4 + 4
        mixed = mixed[:-width] * np.uint64(factor) + mixed[width:]
        width, factor = 2 * width, factor * factor % 2**64
    # The finish of Splitmix64, so that the smallest hashes of a text are a fair sample of it.
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
