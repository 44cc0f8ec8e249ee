"""Readers see one complete version, even while writers are killed at random moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sdg_assets.records import Example, Rejection
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import listing
from sdg_assets_tests.support.records import example

KEY = PartitionKey("quiz", "filtered", "quiz")
READERS = 3


def write(store: Store, number: int) -> None:
    """Publishes a version whose rows, accepted and rejected, and attachment contain `number`."""
    with store.write(KEY) as out:
        for _ in range(5 + number % 3):
            out.put(example(question=f"version {number}", context="x" * 4000))
            out.put(Rejection(gate="format", reason=str(number), row={}))
        out.attachments["number"] = str(number).encode()


def read(store: Store) -> int:
    """Reads all files of the published version and asserts that they agree.

    Returns:
        The number of the version.
    """
    pinned = store.pinned([KEY])
    number = int(pinned.attachment(KEY, "number"))
    accepted = [row.question for row in pinned.read(KEY, Example)]
    rejected = [row.reason for row in pinned.read_rejected(KEY)]
    assert accepted == [f"version {number}"] * (5 + number % 3)
    assert rejected == [str(number)] * (5 + number % 3)
    return number


def kill_writers(root: str, kills: int, longest_ms: float) -> None:
    """Starts writers one after the other and kills each one at a random moment of its work.

    Every second one has published a version by then, however slow the machine is.
    """
    moments = random.Random(root)
    for number in range(1, kills + 1):
        published, publish = os.pipe()
        child = os.fork()
        if not child:
            store = Store(root if root.startswith("s3://") else Path(root))
            for round_number in range(1_000_000):
                write(store, number * 1_000_000 + round_number)
                os.write(publish, b".")
        os.close(publish)
        if number % 2:
            os.read(published, 1)
        time.sleep(moments.uniform(0, longest_ms / 1000))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        os.close(published)


def read_while_writers_are_killed(
    store: Store, kills: int, longest_ms: float, reads: int
) -> Counter[int]:
    """Reads a partition while writers of it are killed.

    Args:
        store: Store of the partition.
        kills: Number of writers.
        longest_ms: Longest life of a writer in milliseconds.
        reads: Least number of reads.

    Returns:
        Number of a version → how often it was read.
    """
    write(store, 0)
    program = (
        "from sdg_assets_tests.store.test_killed_writers import kill_writers;"
        f"kill_writers({str(store.root)!r}, {kills}, {longest_ms})"
    )
    writers = subprocess.Popen([sys.executable, "-c", program])

    def read_until_done(_: int) -> Counter[int]:
        versions = Counter[int]()
        while writers.poll() is None or versions.total() * READERS < reads:
            versions[read(store)] += 1
        return versions

    with ThreadPoolExecutor(READERS) as pool:
        counts = sum(pool.map(read_until_done, range(READERS)), Counter[int]())
    assert writers.returncode == 0
    return counts


def test_readers_of_a_directory_see_one_complete_version(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    versions = read_while_writers_are_killed(store, kills=40, longest_ms=80, reads=1000)

    assert versions.total() >= 1000
    assert len(versions) > 5, "too few writers published before they were killed"
    files = {listed.name for listed in listing(store.root)}
    assert len(files) > 4, "no writer was killed in the middle of a write"


def test_readers_of_a_bucket_see_one_complete_version(bucket: str) -> None:
    versions = read_while_writers_are_killed(Store(bucket), kills=30, longest_ms=250, reads=1000)

    assert versions.total() >= 1000
    assert len(versions) > 3, "too few writers published before they were killed"


@pytest.mark.parametrize("place", ["directory", "bucket"])
def test_parallel_writers_of_one_partition_leave_one_complete_version(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root = tmp_path / "store" if place == "directory" else request.getfixturevalue("bucket")
    store = Store(root)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: write(store, number), range(20)))

    assert read(store) in range(20)
