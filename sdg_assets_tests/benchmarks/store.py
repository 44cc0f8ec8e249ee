"""The store's cost, and whether readers next to killed writers ever see an incomplete version.

`python -m sdg_assets_tests.benchmarks.store` writes and reads 50,000 rows in a directory and in a
bucket of a real object store, compared with the same rows in a plain file. Then it kills writers at
random moments while readers read. Exits 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sdg_assets.records import EnrichedExample
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.store.test_killed_writers import read_while_writers_are_killed
from sdg_assets_tests.support.object_server import BUCKET, object_server
from sdg_assets_tests.support.records import enriched

KEY = PartitionKey("quiz", "filtered", "speed")
ROUNDS = 3
# CPU seconds of the store, as a multiple of a plain file's with the same rows. A plain file has no
# hashes, no sync and no concurrent readers to protect.
GOALS = {
    "directory, write": 2.0,
    "directory, read": 1.5,
    "bucket, write": 2.5,
    "bucket, read": 1.5,
}


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """The smallest CPU and wall-clock seconds of several rounds."""
    best = (float("inf"), float("inf"))
    for _ in range(ROUNDS):
        processor, clock = time.process_time(), time.perf_counter()
        work()
        took = (time.process_time() - processor, time.perf_counter() - clock)
        best = (min(best[0], took[0]), min(best[1], took[1]))
    return best


def plain(rows: list[EnrichedExample], file: Path) -> tuple[float, float]:
    """CPU seconds to write and to read the rows in a plain file."""

    def write() -> None:
        with file.open("wb") as out:
            for row in rows:
                out.write(row.model_dump_json().encode() + b"\n")

    def read() -> None:
        with file.open("rb") as lines:
            for line in lines:
                EnrichedExample.model_validate_json(line)

    return seconds(write)[0], seconds(read)[0]


def costs(name: str, store: Store, rows: list[EnrichedExample], base: tuple[float, float]) -> bool:
    """Prints the store's cost for the rows; returns whether it is within the goals."""

    def write() -> None:
        with store.write(KEY) as out:
            for row in rows:
                out.put(row)

    def read() -> None:
        for _ in store.read(KEY, EnrichedExample):
            pass

    reached = True
    for work, against in zip((write, read), base, strict=True):
        processor, clock = seconds(work)
        what, ratio = f"{name}, {work.__name__}", processor / against
        goal = GOALS[what]
        sys.stdout.write(
            f"{what}: {ratio:.2f} x a plain file (goal {goal}), "
            f"{processor:.2f} s of processor, {clock:.2f} s\n"
        )
        if ratio > goal:
            sys.stderr.write(f"missed: {what}: {ratio:.2f} x a plain file, goal {goal}\n")
            reached = False
    return reached


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m sdg_assets_tests.benchmarks.store")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=200, help="writers killed in each place")
    options = parser.parse_args(arguments)
    rows = [enriched(question=f"{n}? " + "x" * 300) for n in range(options.rows)]
    reached = True
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as served,
        object_server(Path(served)) as server,
    ):
        os.environ.update(server.environment())
        stores = {
            "directory": Store(Path(folder, "store")),
            "bucket": Store(f"s3://{BUCKET}/benchmark"),
        }
        base = plain(rows, Path(folder, "plain"))
        for name, store in stores.items():
            reached &= costs(name, store, rows, base)
        for name, store in stores.items():
            longest = 80 if name == "directory" else 250
            try:
                versions = read_while_writers_are_killed(store, options.kills, longest, reads=1000)
            except Exception as error:  # noqa: BLE001 - any error of a reader counts
                sys.stderr.write(f"missed: {name}: a reader failed: {error!r}\n")
                reached = False
            else:
                sys.stdout.write(
                    f"{name}: {options.kills} writers killed, {versions.total()} reads of "
                    f"{len(versions)} versions, each whole\n"
                )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
