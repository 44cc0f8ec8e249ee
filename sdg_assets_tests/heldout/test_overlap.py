"""The batched search gives the same overlaps as comparing every row with every held-out text."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from sdg_assets.heldout.fingerprints import ngrams
from sdg_assets.heldout.overlap import LEAST_WEIGHT, Overlap
from sdg_assets.heldout.postings import COMMON_TEXTS, Postings
from sdg_assets.heldout.tables import HeldoutTables, hashed_rows, table_of
from sdg_assets.records import Content

SYLLABLES = [a + b + c for a in "bdklmst" for b in "aeiou" for c in "nrs"]


def prose(chance: random.Random, words: int) -> str:
    """Words of few syllables, so that texts have many n-grams in common."""
    return "".join(chance.choices(SYLLABLES[:40], k=2 * words))


def held_out(chance: random.Random) -> HeldoutTables:
    return table_of(
        [
            hashed_rows(
                [
                    Content(context=prose(chance, 12), question=prose(chance, 8), answer="yes")
                    for _ in range(300)
                ]
            )
        ]
    )


class BruteForce:
    """Computes the same sums row by row and text by text."""

    def __init__(self, texts: pl.DataFrame, weights: dict[int, int]) -> None:
        texts_of: dict[int, list[int]] = defaultdict(list)
        for text, own in enumerate(texts["ngrams"].to_list()):
            for ngram in own:
                texts_of[ngram].append(text)
        self._texts_of = {n: t for n, t in texts_of.items() if len(t) <= COMMON_TEXTS}
        self._lent = [
            {n for n, is_lent in zip(own, lent, strict=True) if is_lent}
            for own, lent in zip(texts["ngrams"], texts["lent"], strict=True)
        ]
        self._scale = [max(1.0, length / 64) for length in texts["length"]]
        self._weights = weights

    def of_row(self, row: Sequence[str]) -> dict[int, tuple[float, float, float]]:
        """Text → its weight in the row: anywhere, outside the row's context, in its own n-grams."""
        hashes = [int(h) for h in ngrams(["".join(row)])[0]]
        in_context = len(row[0]) - 8 + 1
        outside_context = set(hashes[max(in_context, 0) :])
        sums: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        for ngram in set(hashes):
            for text in self._texts_of.get(ngram, []):
                weight = self._weights[ngram] / 255 * self._scale[text]
                sums[text][0] += weight
                sums[text][1] += weight * (ngram in outside_context)
                sums[text][2] += weight * (ngram not in self._lent[text])
        return {text: (a, b, c) for text, (a, b, c) in sums.items()}


@pytest.mark.parametrize("seed", range(2))
def test_overlaps_are_those_of_every_row_with_every_text(seed: int) -> None:
    chance = random.Random(seed)
    texts = held_out(chance).texts.unique("key").sort("key")
    postings = Postings(texts)
    of_ngram = np.random.default_rng(seed).integers(0, 256, len(postings.hashes)).astype(np.uint8)
    weights = {int(h): int(w) for h, w in zip(postings.hashes, of_ngram, strict=True)}
    rows = [
        [prose(chance, chance.choice([0, 5, 300])), prose(chance, chance.randrange(12)), "yes"]
        for _ in range(60)
    ]
    overlap = Overlap(postings, postings.of_rows(rows), of_ngram)
    expected = {
        (place, text): sums
        for place, row in enumerate(rows)
        for text, sums in BruteForce(texts, weights).of_row(row).items()
    }
    least = np.full(len(texts), 2.5)

    place, text, weight = overlap.reaching(least)

    expected_weights = {pair: sums[0] for pair, sums in sorted(expected.items()) if sums[0] >= 2.5}
    assert list(zip(place.tolist(), text.tolist(), strict=True)) == list(expected_weights)
    np.testing.assert_allclose(weight, list(expected_weights.values()), rtol=1e-5)
    assert len(expected_weights) > 100

    places, positions = np.repeat(np.arange(len(rows)), 300), np.tile(np.arange(-1, 299), len(rows))
    shares = overlap.of(places, positions)
    pairs = zip(places.tolist(), positions.tolist(), strict=True)
    zeros = (0.0, 0.0, 0.0)
    sums = np.array([expected.get(pair, zeros) for pair in pairs])
    sums[sums[:, 0] < LEAST_WEIGHT] = zeros
    for column, values in enumerate((shares.anywhere, shares.outside_context, shares.own)):
        np.testing.assert_allclose(values, sums[:, column], rtol=1e-5, atol=1e-5)
