"""text-dedup's primitives for MinHash: its hashes of shingles, and its number of bands.

The numbers and functions are those of text-dedup 0.4.0 (`xxh3_64_digest`, `xxh3_32hash`,
`optimal_param`); `sdg_assets_tests/signatures/test_primitives.py` compares them with that release.
They are copied for two reasons. Signatures are stored, so a new release of a library must not
change them. And text-dedup requires, for methods that are not used here, 36 packages with 0.8 GB
(Spark, ONNX Runtime, Sphinx) and `urllib3<=2.0`, whose known vulnerabilities every user would
install. It is the extra `text-dedup`, used by the tests and the near-duplicate benchmark.
"""

from __future__ import annotations

from xxhash import xxh3_64_digest, xxh3_64_intdigest

# Twice as many find the same planted duplicates (benchmarks/near_duplicates.py) at twice the cost.
PERMUTATIONS = 64
BANDED_SIMILARITY = 0.5
"""Bands find most pairs from this similarity on; the gate's own thresholds are at least as high."""
BANDS, BAND_WIDTH = 14, 4
"""`optimal_param(BANDED_SIMILARITY, PERMUTATIONS)`: number of bands, permutations per band."""

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
