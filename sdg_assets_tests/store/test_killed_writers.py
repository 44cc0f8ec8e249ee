"""Writers that are killed at any moment, and readers beside them: one whole version, always."""

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
    """Publishes a version whose every row, accepted or refused, and attachment say its number."""
    with store.write(KEY) as out:
        for _ in range(5 + number % 3):
            out.put(example(question=f"version {number}", context="x" * 4000))
            out.put(Rejection(gate="format", reason=str(number), row={}))
        out.attachments["number"] = str(number).encode()


def read(store: Store) -> int:
    """Reads all of the published version.

    Returns:
        Its number, once everything in it says so.
    """
    pinned = store.pinned([KEY])
    number = int(pinned.attachment(KEY, "number"))
    accepted = [row.question for row in pinned.read(KEY, Example)]
    refused = [row.reason for row in pinned.read_rejected(KEY)]
    assert accepted == [f"version {number}"] * (5 + number % 3)
    assert refused == [str(number)] * (5 + number % 3)
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


def read_beside(store: Store, kills: int, longest_ms: float, reads: int) -> Counter[int]:
    """Reads a partition beside writers that are killed.

    Args:
        store: Where it is.
        kills: Writers.
        longest_ms: Milliseconds that a writer lives at the most.
        reads: How often to read at the least.

    Returns:
        Number of each version that was read → how often.
    """
    write(store, 0)
    program = (
        "from sdg_assets_tests.store.test_killed_writers import kill_writers;"
        f"kill_writers({str(store.root)!r}, {kills}, {longest_ms})"
    )
    writers = subprocess.Popen([sys.executable, "-c", program])

    def on(_: int) -> Counter[int]:
        versions = Counter[int]()
        while writers.poll() is None or versions.total() * READERS < reads:
            versions[read(store)] += 1
        return versions

    with ThreadPoolExecutor(READERS) as pool:
        counts = sum(pool.map(on, range(READERS)), Counter[int]())
    assert writers.returncode == 0
    return counts


def test_readers_beside_killed_writers_read_one_whole_version(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    versions = read_beside(store, kills=40, longest_ms=80, reads=1000)

    assert versions.total() >= 1000
    assert len(versions) > 5, "writers got nowhere"
    left = {listed.name for listed in listing(store.root)}
    assert len(left) > 4, "no writer was killed while it wrote"


def test_readers_of_a_bucket_beside_killed_writers_read_one_whole_version(bucket: str) -> None:
    versions = read_beside(Store(bucket), kills=30, longest_ms=250, reads=1000)

    assert versions.total() >= 1000
    assert len(versions) > 3, "writers got nowhere"


@pytest.mark.parametrize("place", ["directory", "bucket"])
def test_two_writers_of_one_partition_leave_one_whole_version(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    root = tmp_path / "store" if place == "directory" else request.getfixturevalue("bucket")
    store = Store(root)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: write(store, number), range(20)))

    assert read(store) in range(20)
