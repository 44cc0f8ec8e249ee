from __future__ import annotations

import pytest

from sdg_assets.answers.unspaced import unspaced_characters, words_in


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("Where would you buy food?", 5),
        ("Où achète-t-on du pain ?", 5),
        ("電子機器で使用する最も主要な電子回路基板の事をなんと言う？", 14),
        ("ราคาตั๋วเท่าไหร่", 8),
        ("나는 학교에 간다", 3),
        ("Windows 11 を使う", 3),
    ],
)
def test_two_characters_without_a_space_between_words_count_as_a_word(
    text: str, words: int
) -> None:
    assert words_in(text) == words


def test_every_character_may_count_as_a_word() -> None:
    assert words_in("京都 is old", characters=1) == 4
    assert (unspaced_characters("京都 is old"), unspaced_characters("Kyoto")) == (2, 0)
