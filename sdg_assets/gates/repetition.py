"""Finds text that repeats itself: a unit that is said over and over, or phrases that recur.

Both searches treat all texts of a batch as one array. A regular expression would need
back-references, which cost a millisecond per page.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

# "very very very very very": a unit of 3 to 40 characters, five times in a row.
_UNITS = range(3, 41)
_TIMES = 5

# The second search measures the share of words in five-word phrases that recur in the text. The
# Gopher rule (Rae et al. 2021, "Scaling Language Models", table A1) allows 0.15 of the characters
# of web pages. Exercises repeat their own words more: see `repeated_share` of `FormatThresholds`.
_WORDS = 5
_FEWEST_WORDS = 40
# In scripts without spaces, three characters count as a word.
_WORD = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]{1,3}|[\p{L}\p{M}\p{N}]+"
)
_PRIME = 0x9E3779B97F4A7C15


def looping(texts: pl.Series) -> dict[int, str]:
    """Texts that repeat a unit with a letter in it five times in a row.

    Blanks to fill in, rules, indentation and zeros may repeat.

    Args:
        texts: String.

    Returns:
        Position of a text → the unit.
    """
    import numpy as np  # late: the thresholds are also read without numpy

    long = [(p, t) for p, t in enumerate(texts.to_list()) if len(t) >= _UNITS[0] * _TIMES]
    places = [place for place, _ in long]
    joined = "\0".join(text for _, text in long)
    codes = np.frombuffer(joined.encode("utf-32-le"), np.uint32)
    ends = np.cumsum([len(text) + 1 for _, text in long])
    loops: dict[int, str] = {}
    for unit in _UNITS:
        # If a unit of n characters repeats five times, every n-th character equals the next sampled
        # one four times in a row, wherever the loop begins. Sampling costs 1/n of comparing all.
        sampled = codes[::unit]
        same = sampled[:-1] == sampled[1:]
        size = len(same) - _TIMES + 2
        if size <= 0:
            break
        runs = same[:size].copy()
        for step in range(1, _TIMES - 1):
            runs &= same[step : size + step]
        for place in np.flatnonzero(runs) * unit:
            text = places[int(np.searchsorted(ends, place, "right"))]
            if text not in loops and (loop := _loop(joined, int(place), unit)):
                loops[text] = loop
    return loops


def _loop(text: str, place: int, unit: int) -> str | None:
    """The unit that repeats around a position, if it repeats often enough and has a letter."""
    first = max(0, place - unit)
    while place > first and text[place - 1] == text[place - 1 + unit]:
        place -= 1
    repeated = text[place : place + unit]
    is_often = text.startswith(repeated * _TIMES, place)
    is_within = "\0" not in repeated  # equal texts in a row are no loop
    return repeated if is_often and is_within and any(c.isalpha() for c in repeated) else None


def repeated_shares(texts: pl.Series) -> Iterator[tuple[int, float]]:
    """The share of each text's words that belong to phrases which recur in it.

    Args:
        texts: String.

    Yields:
        (position of a text of at least 40 words, share of its words that belong to a five-word
        phrase which occurs more than once), if the share is above 0.
    """
    import numpy as np
    import polars as pl

    text, words = pl.col("text"), pl.col("words")
    placed = texts.to_frame("text").with_row_index("place")
    long_enough = placed.filter(text.str.len_chars() >= _FEWEST_WORDS).select(
        "place", words=text.str.extract_all(_WORD)
    )
    in_words = long_enough.filter(words.list.len() >= _FEWEST_WORDS)
    if not in_words.height:
        return
    long, lengths = in_words["place"], in_words["words"].list.len().to_numpy()
    hashed = in_words.select(words.explode().str.to_lowercase().hash(seed=0))
    hashes = hashed["words"].to_numpy()
    owner = np.repeat(np.arange(len(long)), lengths)
    size = len(hashes) - _WORDS + 1
    phrases = hashes[:size].copy()
    for step in range(1, _WORDS):
        phrases = phrases * np.uint64(_PRIME) + hashes[step : size + step]
    inside = owner[:size] == owner[_WORDS - 1 :]
    keys = pl.DataFrame({"owner": owner[:size], "phrase": phrases})
    again = keys.is_duplicated().to_numpy() & inside
    covered = np.zeros(len(hashes), bool)
    for step in range(_WORDS):
        covered[step : size + step] |= again
    repeated = np.bincount(owner[covered], minlength=len(long))
    total = np.bincount(owner, minlength=len(long))
    for place in np.flatnonzero(repeated):
        yield int(long[int(place)]), float(repeated[place] / total[place])
