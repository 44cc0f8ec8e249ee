"""Typography does not change a text's letters, and so its hashes."""

from __future__ import annotations

from string import ascii_letters

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sdg_assets.heldout.fingerprints import NGRAM, hash_of, item_key, ngrams
from sdg_assets.heldout.letters import plain_text, plain_texts, written_numbers

TEXT = st.text(max_size=120)
PROSE = st.lists(
    st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=1, max_size=9), min_size=1,
    max_size=20,
).map(" ".join)  # fmt: skip


@given(st.lists(TEXT, max_size=6))
def test_texts_are_folded_together_as_they_are_one_by_one(texts: list[str]) -> None:
    assert plain_texts(texts) == [plain_text(text) for text in texts]


@given(PROSE)
def test_case_accents_width_and_punctuation_are_ignored(prose: str) -> None:
    plain = plain_text(prose)
    wide = "".join(chr(ord(c) + 0xFEE0) if c != " " else c for c in prose)
    assert plain_text(prose.upper()) == plain
    assert plain_text(wide) == plain
    assert plain_text("".join(c + "\u0301" for c in prose)) == plain
    assert plain_text(prose.replace(" ", ", ") + "!") == plain
    assert plain_text(prose.replace(" ", "\n")) == plain


LETTERS = st.sampled_from(ascii_letters) | st.characters(
    categories=["Lu", "Ll"], min_codepoint=0x370, max_codepoint=0x52F
)


@given(st.lists(st.text(LETTERS, min_size=2, max_size=12), max_size=8))
def test_a_word_has_the_same_letters_in_every_text(words: list[str]) -> None:
    alone = "".join(map(plain_text, words))
    assert plain_text(" ".join(words)) == plain_text(alone)  # number words may stand across words


@given(st.integers(0, 10**9))
def test_a_number_is_the_same_in_all_its_forms(number: int) -> None:
    forms = [str(number), f"{number:,}", f"{number}.0", f"{number}.00"]
    assert {frozenset(written_numbers(form)) for form in forms} == {frozenset({str(number)})}


@given(st.lists(TEXT, max_size=6))
def test_every_ngram_has_its_place(texts: list[str]) -> None:
    plain = plain_texts(texts)
    hashes, places = ngrams(plain)
    counts = np.bincount(places, minlength=len(plain)).tolist()[: len(plain)]
    assert counts == [max(len(text) - NGRAM + 1, 0) for text in plain]
    assert len(hashes) == sum(counts)


@given(PROSE, PROSE, PROSE)
def test_a_text_keeps_its_ngrams_wherever_it_stands(before: str, text: str, after: str) -> None:
    alone, _ = ngrams([plain_text(text)])
    within, _ = ngrams([plain_text(before) + plain_text(text) + plain_text(after)])
    assert set(alone.tolist()) <= set(within.tolist())


@given(PROSE, st.lists(PROSE, max_size=5), st.randoms())
def test_the_order_of_choices_does_not_matter(
    question: str, choices: list[str], random: object
) -> None:
    shuffled = choices.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert item_key("", question, choices) == item_key("", question, shuffled)


@given(TEXT)
def test_a_hash_fits_in_64_bits_and_0_means_nothing(text: str) -> None:
    hashed = hash_of(plain_text(text))
    assert 0 <= hashed < 2**64
    assert bool(hashed) == bool(plain_text(text))
