from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.assets.retention import forget_old_runs
from sdg_assets.errors import StoreError
from sdg_assets.records import Example
from sdg_assets.store import partitions as storage
from sdg_assets.store import writer as partition_writer
from sdg_assets.store.disk import SCRATCH
from sdg_assets.store.leftovers import clear_leftovers
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import clear_scratch, draft, listing, scratch, write_atomic
from sdg_assets_tests.support.records import example, numeric
from sdg_assets_tests.support.runs import QUIET, failures

KEY = PartitionKey("quiz", "filtered", "quiz")
NEIGHBOUR = PartitionKey("quiz", "filtered", "quiz_two")
DAY = 86_400
KILLED_WRITER = """
import os, signal
from pathlib import Path
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.support.records import example
with Store(Path({root!r})).write(PartitionKey("quiz", "filtered", "quiz")) as out:
    out.put(example())
    os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_SCRATCH = """
import os, signal
from sdg_assets.store.places import scratch
with scratch() as folder:
    (folder / "file").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory for this test and the processes that it starts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def make_old(path: Path, days: float) -> None:
    """Sets the modification time of a path and of everything below it to `days` ago."""
    for file in (path, *path.rglob("*")):
        os.utime(file, times=(time.time() - days * DAY,) * 2)


def run_until_killed(program: str) -> None:
    """Runs a program that kills itself."""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode < 0, done.stderr.decode()


def put(store: Store, key: PartitionKey, row: Example) -> None:
    with store.write(key) as out:
        out.put(row)


def drafts(store: Store) -> list[Path]:
    assert isinstance(store.root, Path)
    return list(store.root.rglob(".*.tmp"))


def test_drafts_of_a_killed_writer_are_deleted_by_a_write_nearby_a_day_later(
    store: Store,
) -> None:
    run_until_killed(KILLED_WRITER.format(root=str(store.root)))
    assert len(drafts(store)) == 2

    put(store, NEIGHBOUR, example())
    assert len(drafts(store)) == 2, "they may belong to a slow writer"
    for file in drafts(store):
        make_old(file, days=1.1)
    put(store, NEIGHBOUR, example())

    assert drafts(store) == []


def test_a_slow_writer_that_still_puts_rows_does_not_look_abandoned(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_writer, "TOUCH_SECONDS", -1.0)  # as if it were an hour
    with store.write(KEY) as out:
        out.put(example())
        for file in drafts(store):
            make_old(file, days=1.1)
        out.put(numeric())
        put(store, NEIGHBOUR, example())

    assert list(store.read(KEY, Example)) == [example(), numeric()]


def test_a_scratch_directory_of_a_killed_process_is_deleted_after_a_day(temporary: Path) -> None:
    run_until_killed(KILLED_SCRATCH)
    (abandoned,) = temporary.iterdir()
    (temporary / "sdg-findings").mkdir()  # of another program
    make_old(temporary / "sdg-findings", days=30)
    a_day_ago = storage._now() - storage.ABANDONED

    assert clear_scratch(a_day_ago) == 0
    make_old(abandoned, days=1.1)
    (abandoned / "file").write_text("still written", "utf-8")
    assert clear_scratch(a_day_ago) == 0
    make_old(abandoned, days=1.1)
    assert clear_scratch(a_day_ago) == 1

    assert [folder.name for folder in temporary.iterdir()] == ["sdg-findings"]


def test_a_draft_for_a_bucket_leaves_no_file_behind(temporary: Path, bucket: str) -> None:
    with draft(Store(bucket).root / "file") as out:
        out.write(b"content")
        assert list(temporary.iterdir()) == []
        out.publish()

    with scratch() as folder:
        assert folder.name.startswith(SCRATCH)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("place", ["directory", "bucket"])
def test_only_files_that_nobody_reads_are_deleted_from_a_store(
    place: str,
    store: Store,
    temporary: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if place == "bucket":
        store = Store(request.getfixturevalue("bucket"))
    put(store, KEY, example())
    put(store, KEY, numeric())
    put(store, NEIGHBOUR, example())
    others = {
        "quiz/completions/quiz/writer.segments/20260101T000000-0123abcd-000001.jsonl",
        "curated/a1/generative/20260101T000000-0123abcd.jsonl",
    }
    for name in others:
        write_atomic(store.root / name, b"x")
    kept = others | {
        str(store.path(key)).removeprefix(f"{store.root}/") for key in (KEY, NEIGHBOUR)
    }
    count = len(list(listing(store.root)))

    assert clear_leftovers(store) == 0
    assert len(list(listing(store.root))) == count
    later = storage._now() + timedelta(days=2)
    monkeypatch.setattr(storage, "_now", lambda: later)
    assert clear_leftovers(store) == 2  # accepted and rejected rows of the replaced version

    assert kept < {listed.name for listed in listing(store.root)}
    assert list(store.read(KEY, Example)) == [numeric()]


def test_a_corrupt_manifest_is_reported_and_its_partition_not_touched(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in (KEY, NEIGHBOUR):
        put(store, key, example())
        put(store, key, numeric())
    manifest = store.manifest_path(KEY).read_bytes()
    store.manifest_path(KEY).write_bytes(manifest[:40])
    later = storage._now() + timedelta(days=2)
    monkeypatch.setattr(storage, "_now", lambda: later)

    with pytest.raises(StoreError, match=r"quiz\.manifest\.json: corrupt manifest"):
        clear_leftovers(store)

    store.manifest_path(KEY).write_bytes(manifest)
    assert list(store.read(KEY, Example)) == [numeric()]
    folders = Counter(listed.name.split("/")[2] for listed in listing(store.root))
    assert (folders["quiz"], folders["quiz_two"]) == (4, 2)


def test_folders_that_others_delete_meanwhile_do_not_stop_the_clearing(store: Store) -> None:
    """The same job deletes the logs of old runs, on a cluster in another pod at the same time."""
    root = Path(str(store.root))
    logs = [root / ".logs" / f"run{number}" / "compute_logs" for number in range(400)]
    for folder in logs:
        folder.mkdir(parents=True)
    begun = threading.Event()

    def forget() -> None:
        begun.wait()
        for folder in logs:
            shutil.rmtree(folder.parent)

    with ThreadPoolExecutor(1) as pool:
        forgotten = pool.submit(forget)
        begun.set()
        while not forgotten.done():
            clear_leftovers(store)
        forgotten.result()


def test_the_daily_job_clears_the_store(store: Store, instance: dg.DagsterInstance) -> None:
    run_until_killed(KILLED_WRITER.format(root=str(store.root)))
    for file in drafts(store):
        make_old(file, days=1.1)

    result = forget_old_runs.execute_in_process(
        instance=instance, run_config={"loggers": QUIET}, raise_on_error=False
    )

    assert result.success, failures(result)
    assert drafts(store) == []
