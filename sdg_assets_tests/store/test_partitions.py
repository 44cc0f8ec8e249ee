from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sdg_assets.errors import StoreError, TransientError
from sdg_assets.records import Example, Rejection, Seed
from sdg_assets.store import partitions as storage
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import Place, listing, write_atomic
from sdg_assets_tests.support.records import example, numeric, seed

KEY = PartitionKey("quiz", "normalized", "quiz")


@pytest.fixture
def directory(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest) -> Store:
    """A store in a directory, then one in a bucket."""
    if request.param == "directory":
        directory: Store = request.getfixturevalue("directory")
        return directory
    return Store(request.getfixturevalue("bucket"))


def publish(store: Store, accepted: Iterable[Example], rejected: Iterable[Rejection] = ()) -> None:
    with store.write(KEY) as out:
        for row in itertools.chain(accepted, rejected):
            out.put(row)


def rejection(reason: str = "prompt debris") -> Rejection:
    return Rejection(gate="format", reason=reason, row={"question": "as an AI"})


def names(store: Store) -> list[str]:
    return sorted(file.name for file in listing(store.root))


class Killed(BaseException):
    """Stands for SIGKILL: a `BaseException` that the store does not handle."""


class KillAtRename:
    """Lets `allowed` renames succeed; the next one raises `Killed`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
        self.left = allowed
        original_replace = Path.replace

        def replace(this: Path, target: Path) -> Path:
            if self.left == 0:
                raise Killed
            self.left -= 1
            return original_replace(this, target)

        monkeypatch.setattr(Path, "replace", replace)


def test_rows_are_read_back_unchanged(store: Store) -> None:
    rows = [example(), numeric(question="Wie viel ist 6 × 7? 日本")]
    publish(store, rows, [rejection()])

    assert list(store.read(KEY, Example)) == rows
    assert list(store.read_rejected(KEY)) == [rejection()]
    manifest = store.manifest(KEY)
    assert (manifest.rows, manifest.rejected) == (2, {"format: prompt debris": 1})


def test_the_manifest_names_the_version_in_the_partitions_folder(
    store: Store,
) -> None:
    publish(store, [example()], [rejection()])

    version = store.manifest(KEY).version
    assert version
    assert names(store) == [
        "quiz/normalized/quiz.manifest.json",
        f"quiz/normalized/quiz/{version}.jsonl",
        f"quiz/normalized/quiz/{version}.rejected.jsonl",
    ]
    assert str(store.path(KEY)) == f"{store.root}/quiz/normalized/quiz/{version}.jsonl"


def test_manifests_of_many_partitions_leave_out_missing_ones(store: Store) -> None:
    keys = [PartitionKey("quiz", "seeds", f"q{n}") for n in range(3)]
    for key in keys:
        with store.write(key) as out:
            out.accept(seed(0))

    manifests = store.manifests([*keys, KEY])

    assert manifests == {key: store.manifest(key) for key in keys}


def test_a_partition_may_be_empty(store: Store) -> None:
    publish(store, [])

    assert store.exists(KEY)
    assert list(store.read(KEY, Example)) == []
    assert list(store.read_rejected(KEY)) == []


def test_a_failed_write_leaves_the_partition_unchanged_and_no_files(store: Store) -> None:
    publish(store, [example()])

    def rows_that_fail() -> Iterator[Example]:
        yield numeric()
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        publish(store, rows_that_fail())

    assert list(store.read(KEY, Example)) == [example()]
    assert len(names(store)) == 3
    if isinstance(store.root, Path):
        assert not list(store.root.rglob("*.tmp"))


def test_a_full_disk_leaves_the_partition_unchanged(
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
def test_a_first_write_killed_between_its_renames_is_not_published(
    directory: Store, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    with monkeypatch.context() as patch:
        KillAtRename(patch, renames)
        with pytest.raises(Killed):
            publish(directory, [example()], [rejection()])

    assert not directory.exists(KEY)
    with pytest.raises(StoreError, match=r"quiz/normalized/quiz: not in the store .*materialize"):
        list(directory.read(KEY, Example))


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_rewrite_killed_between_its_renames_leaves_the_partition_unchanged(
    directory: Store, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    publish(directory, [example()], [rejection("old")])
    with monkeypatch.context() as patch:
        KillAtRename(patch, renames)
        with pytest.raises(Killed):
            publish(directory, [numeric(), example()], [rejection("new"), rejection("new")])

    assert list(directory.read(KEY, Example)) == [example()]
    assert list(directory.read_rejected(KEY)) == [rejection("old")]


# A writer uploads rejected rows, accepted rows and the manifest, in this order.
@pytest.mark.parametrize("puts", [0, 1, 2])
def test_a_rewrite_in_a_bucket_killed_at_any_point_leaves_the_partition_unchanged(
    bucket: str, puts: int
) -> None:
    store = Store(bucket)
    publish(store, [example()], [rejection("old")])
    program = f"""
import os, signal
from sdg_assets.store.objects import ObjectPath
from sdg_assets.store.partitions import Store
from sdg_assets_tests.support.records import numeric
from sdg_assets_tests.store.test_partitions import publish, rejection
put, left = ObjectPath._put, [{puts}]
def killed(place, content):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    put(place, content)
ObjectPath._put = killed
publish(Store({bucket!r}), [numeric()] * 2, [rejection("new")])
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL

    assert list(store.read(KEY, Example)) == [example()]
    assert list(store.read_rejected(KEY)) == [rejection("old")]
    assert len(names(store)) == 3 + puts
    publish(store, [numeric()])
    assert list(store.read(KEY, Example)) == [numeric()]


def test_a_reader_that_has_started_is_not_affected_by_a_new_version(store: Store) -> None:
    rows = [numeric(question=f"{n} " + "x" * 200_000) for n in range(30)]  # more than one range
    publish(store, rows)
    reading = store.read(KEY, Example)
    first = next(reading)

    publish(store, [example()])

    assert [first, *reading] == rows
    assert list(store.read(KEY, Example)) == [example()]


def test_all_files_of_a_pinned_partition_are_of_one_version(store: Store) -> None:
    def write(question: str) -> None:
        with store.write(KEY) as out:
            out.put(example(question=question))
            out.put(rejection(question))
            out.attachments["notes"] = question.encode()

    write("old?")
    pinned = store.pinned([KEY, PartitionKey("quiz", "seeds", "absent")])
    write("new?")

    assert [row.question for row in pinned.read(KEY, Example)] == ["old?"]
    assert [row.reason for row in pinned.read_rejected(KEY)] == ["old?"]
    assert pinned.attachment(KEY, "notes") == b"old?"
    assert [row.question for row in store.read(KEY, Example)] == ["new?"]
    assert not pinned.exists(PartitionKey("quiz", "seeds", "absent"))


def test_a_write_through_a_pinned_store_is_read_back(store: Store) -> None:
    publish(store, [example()])
    pinned = store.pinned([KEY])

    publish(pinned, [numeric()])

    assert list(pinned.read(KEY, Example)) == [numeric()]


def test_a_reader_whose_version_was_deleted_reads_the_newer_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, [example()])
    manifests = [store.manifest(KEY)]
    replaced = store.path(KEY)
    publish(store, [numeric()])
    replaced.unlink()  # as the cleanup does a day later
    monkeypatch.setattr(
        store, "manifest", lambda key: manifests.pop() if manifests else Store.manifest(store, key)
    )

    assert list(store.read(KEY, Example)) == [numeric()]


def test_a_pinned_version_that_was_deleted_is_a_transient_error(store: Store) -> None:
    publish(store, [example()])
    pinned = store.pinned([KEY])
    publish(store, [numeric()])
    pinned.path(KEY).unlink()

    with pytest.raises(TransientError, match=r"\.jsonl: replaced while it was read; run again"):
        list(pinned.read(KEY, Example))


def test_a_version_is_deleted_a_day_after_its_replacement_whatever_its_age(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour = PartitionKey(KEY.task, KEY.stage, "quiz_two")
    with store.write(neighbour) as out:
        out.accept(example())
    now = datetime.now(UTC)

    def published_after(hours: float) -> str:
        monkeypatch.setattr(storage, "_now", lambda: now + timedelta(hours=hours))
        publish(store, [example(question=f"After {hours} hours?")])
        return store.manifest(KEY).version

    def versions() -> set[str]:
        return {name.split("/")[-1].split(".")[0] for name in names(store) if "/quiz/" in name}

    first = published_after(0)
    second = published_after(72)  # the first was the published one until now
    assert versions() == {first, second}
    third = published_after(95)
    assert versions() == {first, second, third}
    fourth = published_after(97)  # the first was replaced 25 hours ago
    assert versions() == {second, third, fourth}
    assert list(store.read(neighbour, Example)) == [example()]


def test_a_corrupt_manifest_is_replaced_by_the_next_run(store: Store) -> None:
    publish(store, [example()])
    store.manifest_path(KEY).write_bytes(b"{")

    publish(store, [numeric()])

    assert list(store.read(KEY, Example)) == [numeric()]


def test_an_unpublished_attempt_is_kept_for_two_weeks(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, [example()])

    def attempt() -> None:
        with store.write(KEY) as out:
            out.put(numeric())
            out.put(rejection("not good enough"))
            kept_aside.append(out.keep_aside())
            raise RuntimeError("not published")

    kept_aside: list[Place] = []
    with pytest.raises(RuntimeError, match="not published"):
        attempt()

    assert list(store.read(KEY, Example)) == [example()]
    assert (
        kept_aside[0].read_bytes()
        == rejection("not good enough").model_dump_json().encode() + b"\n"
    )
    assert str(kept_aside[0]).endswith(".unpublished.rejected.jsonl")
    accepted = kept_aside[0].parent / kept_aside[0].name.replace(".rejected", "")
    assert b"6" in accepted.read_bytes()
    now = datetime.now(UTC)
    for days, exists in ((13, True), (15, False)):
        monkeypatch.setattr(storage, "_now", lambda days=days: now + timedelta(days=days))
        publish(store, [example()])
        assert [kept_aside[0].exists(), accepted.exists()] == [exists, exists]


def test_a_store_copied_into_a_bucket_can_be_read(directory: Store, bucket: str) -> None:
    publish(directory, [example()], [rejection()])
    copied = Store(bucket)
    for file in listing(directory.root):
        write_atomic(copied.root / file.name, (directory.root / file.name).read_bytes())

    assert list(copied.read(KEY, Example)) == [example()]
    assert list(copied.read_rejected(KEY)) == [rejection()]


def test_rows_larger_than_one_request_are_read_back(store: Store) -> None:
    rows = [numeric(question=f"{n} " + "x" * 200_000) for n in range(60)]  # 12 MB
    publish(store, rows)

    assert [row.question[:3] for row in store.read(KEY, Example)] == [
        row.question[:3] for row in rows
    ]


def test_rejected_rows_are_verified_like_accepted_ones(store: Store) -> None:
    publish(store, [example()], [rejection("a"), rejection("b")])
    path = store.rejected_path(KEY)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])

    with pytest.raises(StoreError, match=r"\.rejected\.jsonl: holds 1 rows that differ"):
        list(store.read_rejected(KEY))


@pytest.mark.parametrize(
    "line",
    [
        b'{"id": "torn',
        b"\xff\xfe not even text",
        b'{"id": "x"}',
        b"[]",
        b"",
        b"\x00" * 64,
    ],
    ids=["torn", "bytes", "another record", "a list", "empty", "zeros"],
)
def test_a_corrupt_line_is_named_by_file_and_number(store: Store, line: bytes) -> None:
    publish(store, [example(), numeric()])
    path = store.path(KEY)
    first = path.read_bytes().splitlines()[0]
    path.write_bytes(first + b"\n" + line + b"\n")

    with pytest.raises(StoreError) as caught:
        list(store.read(KEY, Example))

    assert str(caught.value).startswith(f"{path}:2: not a Example (")
    assert str(caught.value).endswith("materialize the partition again")
    assert "\n" not in str(caught.value)


def test_an_edited_line_is_noticed(store: Store) -> None:
    publish(store, [example()])
    path = store.path(KEY)
    path.write_bytes(path.read_bytes().replace(b"France", b"Italy"))

    with pytest.raises(StoreError, match="holds 1 rows that differ from the 1 published"):
        list(store.read(KEY, Example))


def test_missing_rows_are_noticed(store: Store) -> None:
    publish(store, [example(), numeric()])
    path = store.path(KEY)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])

    with pytest.raises(StoreError, match="holds 1 rows that differ from the 2 published"):
        list(store.read(KEY, Example))


def test_a_deleted_file_is_named(store: Store) -> None:
    publish(store, [example()])
    store.path(KEY).unlink()

    with pytest.raises(StoreError, match=r"\.jsonl: gone; materialize quiz/normalized/quiz"):
        list(store.read(KEY, Example))


def test_a_corrupt_manifest_is_named(store: Store) -> None:
    publish(store, [example()])
    store.manifest_path(KEY).write_bytes(b"{")

    with pytest.raises(StoreError, match=r"quiz\.manifest\.json: corrupt manifest"):
        store.manifest(KEY)


def test_a_lone_surrogate_is_replaced_by_u_fffd(store: Store) -> None:
    key = PartitionKey("quiz", "seeds", "quiz")
    with store.write(key) as out:
        out.accept(seed(0, text="broken \ud800 here", whole="\U0001f600", many=["a\udfff"]))

    (row,) = store.read(key, Seed)
    assert row.row == {"text": "broken � here", "whole": "\U0001f600", "many": ["a�"]}


def test_two_runs_that_write_one_partition_do_not_share_a_temporary_file(store: Store) -> None:
    # The first process of every container has id 1, so the process id alone is not unique.
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
        KillAtRename(patch, 0)
        with pytest.raises(Killed):
            write_atomic(path, b"two")

    assert path.read_bytes() == b"one"
    assert list(path.parent.iterdir()) == [path]


def test_an_attachment_is_published_with_its_rows_and_verified(store: Store) -> None:
    with store.write(KEY) as out:
        out.put(example())
        out.attachments["notes.bin"] = b"abc"

    assert store.attachment(KEY, "notes.bin") == b"abc"
    store.attachment_path(KEY, "notes.bin").write_bytes(b"abd")
    with pytest.raises(StoreError, match=r"notes\.bin: not what was published"):
        store.attachment(KEY, "notes.bin")
    with pytest.raises(StoreError, match="materialize"):
        store.attachment(KEY, "absent")


def test_a_partition_that_a_newer_version_wrote_is_neither_read_nor_replaced(store: Store) -> None:
    publish(store, [example()])
    path = store.manifest_path(KEY)
    newer = store.manifest(KEY).model_copy(update={"layout": 99}).model_dump_json().encode()
    write_atomic(path, newer)

    for use in (lambda: store.manifest(KEY), lambda: publish(store, [numeric()])):
        with pytest.raises(
            StoreError, match=r"written by a newer version .* \(layout 99, this one"
        ):
            use()

    assert path.read_bytes() == newer
