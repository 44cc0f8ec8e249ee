"""Rows per second and peak memory of the search over stored signatures, up to NVIDIA's 4.5M rows.

    python -m sdg_assets_tests.benchmarks.duplicates_at_scale [--rows 500000 1500000 4500000]

Signatures are drawn at random with the distribution of MinHash, in partitions of 6,500 rows (4.5M
rows over 700 subtasks); with `--largest`, the first partition has that many. One row in ten is a
near copy (similarity 0.6 to 0.95) of a row in an earlier partition, one in fifty an exact copy. A
third of the rows have a weak answer: they have one of ten keys, and one in a hundred of their bands
is a boilerplate band, so that buckets get crowded. Each size runs in its own process. Fails if
memory or growth miss their target.
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sdg_assets.signatures.primitives import BAND_WIDTH, BANDS, PERMUTATIONS
from sdg_assets.signatures.scratch import search_local
from sdg_assets.signatures.shingles import PARTS
from sdg_assets.signatures.table import Signatures
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets_tests.support.signatures import opened

ROWS_A_PARTITION = 6_500
NEAR, EXACT, WEAK, FRAMED = 0.1, 0.02, 1 / 3, 0.01
GIB = 2**30
MEMORY_TARGET = 3 * GIB
GROWTH_TARGET = 1.2
"""Growth of the seconds over n log n, from the smallest size to the largest."""


def drawn(
    rng: np.random.Generator, number: int, rows: int, earlier: Signatures | None
) -> Signatures:
    """A partition's signatures.

    Args:
        rng: The random generator.
        number: The partition's number.
        rows: The number of rows.
        earlier: The partition of the copies' originals.
    """
    bands = rng.integers(0, 1 << 32, (rows, BANDS), np.uint32)
    parts = rng.integers(0, 256, (rows, len(PARTS), PERMUTATIONS), np.uint8)
    present = np.ones((rows, len(PARTS)), np.uint8)
    present[:, 1:] = rng.random((rows, len(PARTS) - 1)) < (0.3, 0.5)
    weak = (rng.random(rows) < WEAK).astype(np.uint8)
    keys = rng.integers(0, 1 << 62, rows)
    keys[weak == 1] = rng.integers(0, 10, int(weak.sum()))
    framed = (rng.random(bands.shape) < FRAMED) & (weak == 1)[:, None]
    bands[framed] = 7
    exact = rng.integers(0, 1 << 62, rows)
    if earlier is not None:
        kind = rng.random(rows)
        copies = np.flatnonzero(kind < NEAR + EXACT)
        of = rng.integers(0, len(earlier), len(copies))
        same = np.where(kind[copies] < NEAR, rng.uniform(0.6, 0.95, len(copies)), 1)
        for own, theirs, chance in (
            (bands, earlier.bands, same**BAND_WIDTH),
            (parts, earlier.parts, same),
        ):
            shape = (len(copies), *[1] * (own.ndim - 1))
            kept = rng.random((len(copies), *own.shape[1:])) < chance.reshape(shape)
            own[copies] = np.where(kept, theirs[of], own[copies])
        frame = earlier.frame
        present[copies], weak[copies] = earlier.present[of], frame["weak"].to_numpy()[of]
        keys[copies] = frame["key"].to_numpy()[of]
        equal = same == 1
        exact[copies[equal]] = frame["exact"].to_numpy()[of[equal]]
    parts *= present[:, :, None]
    return Signatures(_frame(rng, number, exact, keys, weak), bands, parts, present)


def _frame(
    rng: np.random.Generator,
    number: int,
    exact: NDArray[np.int64],
    keys: NDArray[np.int64],
    weak: NDArray[np.uint8],
) -> pl.DataFrame:
    rows = len(exact)
    return pl.DataFrame(
        {
            "id": [f"{draw:016x}{number:04x}" for draw in rng.integers(0, 1 << 62, rows).tolist()],
            "vote_share": rng.choice(np.array([0.6, 0.8, 1.0], np.float32), rows),
            "judge_score": np.zeros(rows, np.float32),
            "origin": rng.integers(0, 1 << 62, rows),
            "exact": exact,
            "key": keys,
            "weak": weak,
        }
    )


def write(directory: Path, rows: int, largest: int) -> None:
    """Draws the partitions and writes their signature files."""
    rng, earlier = np.random.default_rng(6), None
    starts = [0, *range(min(largest, rows), rows, ROWS_A_PARTITION)]
    for number, (start, end) in enumerate(pairwise([*starts, rows])):
        signatures = drawn(rng, number, end - start, earlier)
        name = f"task/filtered/{number:04}"
        with (directory / f"{number:04}.parquet").open("wb") as file:
            signatures.write_parquet(name, file)
        if number % 10 == 0:
            earlier = signatures


def search(directory: Path) -> None:
    """Searches a directory; prints CPU seconds, peak memory and the number of copies."""
    files = {path.stem: partial(opened, path) for path in directory.glob("*.parquet")}
    began = time.process_time()
    verdicts = search_local(files, lambda _: DuplicateThresholds(), {})
    spent = time.process_time() - began
    print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, len(verdicts))


def main() -> int:
    """Prints one line per size; returns 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    sizes = [500_000, 1_500_000, 4_500_000]
    parser.add_argument("--rows", type=int, nargs="+", default=sizes)
    parser.add_argument("--largest", type=int, default=ROWS_A_PARTITION)
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.search:
        search(options.search)
        return 0
    print("| rows | files MB | CPU s | rows/s | s / (n log n), relative | peak GiB | copies |")
    print("|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    growth, peaks = [], []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as directory:
            write(Path(directory), rows, options.largest)
            size = sum(file.stat().st_size for file in Path(directory).iterdir())
            done = subprocess.run(
                [sys.executable, "-m", __spec__.name, "--search", directory],
                capture_output=True,
                text=True,
                check=True,
            )
        seconds, peak, copies = map(float, done.stdout.split())
        growth.append(seconds / (rows * math.log(rows)))
        peaks.append(peak)
        print(
            f"| {rows:,} | {size / 1e6:,.0f} | {seconds:.1f} | {rows / seconds:,.0f} "
            f"| {growth[-1] / growth[0]:.2f} | {peak / GIB:.2f} | {copies:,.0f} |",
            flush=True,
        )
    return int(max(peaks) > MEMORY_TARGET or growth[-1] / growth[0] > GROWTH_TARGET)


if __name__ == "__main__":
    sys.exit(main())
