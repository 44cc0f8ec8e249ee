"""text-dedup's primitives for MinHash: its hashes of shingles, and its number of bands.

The numbers and functions here are those of text-dedup 0.4.0 (`xxh3_64_digest`, `xxh3_32hash`,
`optimal_param`), and `sdg_assets_tests/signatures/test_primitives.py` compares them with that
release. They stand here because signatures are stored: another release of a library must not change
what stored ones are compared with. And text-dedup requires, for methods that are not used here,
36 packages with 0.8 GB (Spark, ONNX Runtime, Sphinx) and `urllib3<=2.0`, whose known
vulnerabilities everybody would install. It is the extra `text-dedup`; the tests and the benchmark
of near-duplicates call it.
"""

from __future__ import annotations

from xxhash import xxh3_64_digest, xxh3_64_intdigest

# Twice as many find the same planted copies (benchmarks/near_duplicates.py) at twice the price.
PERMUTATIONS = 64
BANDED_SIMILARITY = 0.5
"""Bands find most pairs from here on; the gate's own thresholds lie at or above it."""
BANDS, BAND_WIDTH = 14, 4
"""`optimal_param(BANDED_SIMILARITY, PERMUTATIONS)`: bands, and permutations a band."""

__all__ = [
    "BANDED_SIMILARITY",
    "BANDS",
    "BAND_WIDTH",
    "PERMUTATIONS",
    "hash32",
    "xxh3_64_digest",
]


def hash32(data: bytes) -> int:
    """The lower 32 bits of XXH3's 64-bit hash; text-dedup's `xxh3_32hash`.

    Args:
        data: A shingle.
    """
    return xxh3_64_intdigest(data) & 0xFFFFFFFF
