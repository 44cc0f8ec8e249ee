"""The primitives of signatures are text-dedup's, which the extra of that name installs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sdg_assets.signatures.primitives import (
    BAND_WIDTH,
    BANDED_SIMILARITY,
    BANDS,
    PERMUTATIONS,
    hash32,
    xxh3_64_digest,
)


@given(st.binary(max_size=300))
def test_shingles_are_hashed_as_text_dedup_hashes_them(data: bytes) -> None:
    from text_dedup.utils import hashfunc  # takes seconds, as it imports torch

    assert hash32(data) == hashfunc.xxh3_32hash(data)
    assert xxh3_64_digest(data) == hashfunc.xxh3_64_digest(data)


def test_there_are_as_many_bands_as_text_dedup_finds_best() -> None:
    from text_dedup.utils import optimal_param

    assert optimal_param(
        BANDED_SIMILARITY, PERMUTATIONS, false_positive_weight=0.5, false_negative_weight=0.5
    ) == (BANDS, BAND_WIDTH)


def test_stored_hashes_stay_what_they_are() -> None:
    assert hash32(b"hello world") == 1088854155
    assert xxh3_64_digest(b"hello world").hex() == "d447b1ea40e6988b"
