"""Writers that fail or are killed: what was published stays as it was."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sdg_assets.errors import StoreError
from sdg_assets.records import Example
from sdg_assets.store import partitions as storage
from sdg_assets.store.partitions import Store
from sdg_assets.store.places import Place, write_atomic
from sdg_assets_tests.store.publishing import KEY, either, names, publish, refused
from sdg_assets_tests.support.records import example, numeric


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest) -> Store:
    """A store in a directory, then one in a bucket."""
    return either(request)


class Killed(BaseException):
    """What SIGKILL is to a process: nothing catches it."""


class Rename:
    """Lets `allowed` renames through, then the process is dead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
        self.left = allowed
        really = Path.replace

        def replace(this: Path, target: Path) -> Path:
            if self.left == 0:
                raise Killed
            self.left -= 1
            return really(this, target)

        monkeypatch.setattr(Path, "replace", replace)


def test_a_failed_write_leaves_what_was_there_and_no_debris(store: Store) -> None:
    publish(store, [example()])

    def half() -> Iterator[Example]:
        yield numeric()
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        publish(store, half())

    assert list(store.read(KEY, Example)) == [example()]
    assert len(names(store)) == 3
    if isinstance(store.root, Path):
        assert not list(store.root.rglob("*.tmp"))


def test_a_full_disk_leaves_what_was_there(
    directory: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(directory, [example()])

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"No space left on device.*; free space there"):
        publish(directory, [numeric()])

    assert list(directory.read(KEY, Example)) == [example()]


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_first_write_killed_between_its_renames_was_never_published(
    directory: Store, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    with monkeypatch.context() as patch:
        Rename(patch, renames)
        with pytest.raises(Killed):
            publish(directory, [example()], [refused()])

    assert not directory.exists(KEY)
    with pytest.raises(StoreError, match=r"quiz/normalized/quiz: not in the store .*materialize"):
        list(directory.read(KEY, Example))


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_rewrite_killed_between_its_renames_leaves_what_was_there(
    directory: Store, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    publish(directory, [example()], [refused("old")])
    with monkeypatch.context() as patch:
        Rename(patch, renames)
        with pytest.raises(Killed):
            publish(directory, [numeric(), example()], [refused("new"), refused("new")])

    assert list(directory.read(KEY, Example)) == [example()]
    assert list(directory.read_rejected(KEY)) == [refused("old")]


# Rejected rows, accepted rows, manifest: what a writer puts in a bucket, in this order.
@pytest.mark.parametrize("puts", [0, 1, 2])
def test_a_rewrite_in_a_bucket_killed_at_any_point_leaves_what_was_there(
    bucket: str, puts: int
) -> None:
    store = Store(bucket)
    publish(store, [example()], [refused("old")])
    program = f"""
import os, signal
from sdg_assets.store.objects import ObjectPath
from sdg_assets.store.partitions import Store
from sdg_assets_tests.support.records import numeric
from sdg_assets_tests.store.publishing import publish, refused
put, left = ObjectPath._put, [{puts}]
def killed(place, content):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    put(place, content)
ObjectPath._put = killed
publish(Store({bucket!r}), [numeric()] * 2, [refused("new")])
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL

    assert list(store.read(KEY, Example)) == [example()]
    assert list(store.read_rejected(KEY)) == [refused("old")]
    assert len(names(store)) == 3 + puts
    publish(store, [numeric()])
    assert list(store.read(KEY, Example)) == [numeric()]


def test_two_runs_that_write_one_partition_do_not_share_a_temporary_file(store: Store) -> None:
    # In every container the first process is number 1, so the process id alone is not enough.
    with store.write(KEY) as slow:
        slow.accept(example())
        with store.write(KEY) as quick:
            quick.accept(numeric())
        assert list(store.read(KEY, Example)) == [numeric()]

    assert list(store.read(KEY, Example)) == [example()]


def test_an_atomic_write_replaces_the_whole_file_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new folder" / "file"
    write_atomic(path, b"one")
    with monkeypatch.context() as patch:
        Rename(patch, 0)
        with pytest.raises(Killed):
            write_atomic(path, b"two")

    assert path.read_bytes() == b"one"
    assert list(path.parent.iterdir()) == [path]


def test_rows_that_were_kept_aside_are_not_published_and_go_after_two_weeks(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, [example()])

    def attempt() -> None:
        with store.write(KEY) as out:
            out.put(numeric())
            out.put(refused("not good enough"))
            kept.append(out.keep_aside())
            raise RuntimeError("not published")

    kept: list[Place] = []
    with pytest.raises(RuntimeError, match="not published"):
        attempt()

    assert list(store.read(KEY, Example)) == [example()]
    assert kept[0].read_bytes() == refused("not good enough").model_dump_json().encode() + b"\n"
    assert str(kept[0]).endswith(".unpublished.rejected.jsonl")
    accepted = kept[0].parent / kept[0].name.replace(".rejected", "")
    assert b"6" in accepted.read_bytes()
    now = datetime.now(UTC)
    for days, there in ((13, True), (15, False)):
        monkeypatch.setattr(storage, "_now", lambda days=days: now + timedelta(days=days))
        publish(store, [example()])
        assert [kept[0].exists(), accepted.exists()] == [there, there]
