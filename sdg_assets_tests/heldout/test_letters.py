"""Texts reduced to letters and digits: many at once come out as each does alone."""

from __future__ import annotations

import random

import pytest

from sdg_assets.heldout.letters import plain_text, plain_texts

NUMBER_WORDS = [
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fifteen", "eighteen", "nineteen", "zero", "twenty", "thirty"),
    *("forty", "eighty", "ninety", "hundred", "thousand", "million", "and", "dollars"),
]
OTHERS = [
    *" .,-'_&<>",
    *("1,000", "2'000,000", "7 000", "3_500", "18.0", "&amp;", "&frac12;", "<b>", "</b>", "\x1f"),
    *("½", "é", "e\u0301", "НОС", "漢字", "〇", "が", "한국", "ㄱ", "١٨", "ﬁ", "\u3098", "\ud800"),
]


def texts_of(seed: int) -> list[str]:
    """Texts in which number words stand whole, cut short and run together, among odd characters."""
    chance = random.Random(seed)
    stubs = [word[: chance.randrange(1, len(word))] for word in NUMBER_WORDS]
    parts = [*NUMBER_WORDS, *stubs, *OTHERS, "w o r d s", "n-i-n-e", "UPPER"]
    return ["".join(chance.choices(parts, k=chance.randrange(12))) for _ in range(400)]


@pytest.mark.parametrize("seed", range(5))
def test_a_text_comes_out_of_many_as_it_does_alone(seed: int) -> None:
    texts = texts_of(seed)
    assert plain_texts(texts) == [plain_text(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("two new", "tw1w"),  # "one" comes before "two"
        ("eight women", "eigh2men"),
        ("often nine", "of109"),
        ("twenty-one eggs", "21eggs"),
        ("seventeen", "17"),
        ("1'000,000 or 2,500", "1000000or2500"),
        ("漢字", "漢漢字字"),
        ("한국", "한한국국"),
    ],
)
def test_a_word_is_read_the_same_in_a_short_and_in_a_long_text(text: str, plain: str) -> None:
    filler = "the small harbour lies quiet"
    assert plain_text(text) == plain
    assert plain_texts([text, *[filler] * 400])[0] == plain
