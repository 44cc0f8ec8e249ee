from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from sdg_assets.errors import StoreError
from sdg_assets.examples import Example, Rejection, Seed
from sdg_assets.storage import PartitionKey, Store, write_atomic
from sdg_assets_tests.records import example, numeric, seed

KEY = PartitionKey("quiz", "normalized", "quiz")


def publish(store: Store, accepted: Iterable[Example], rejected: Iterable[Rejection] = ()) -> None:
    with store.write(KEY) as out:
        for row in itertools.chain(accepted, rejected):
            out.put(row)


def refused(reason: str = "prompt debris") -> Rejection:
    return Rejection(gate="format", reason=reason, row={"question": "as an AI"})


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


def test_what_was_written_is_what_is_read(store: Store) -> None:
    rows = [example(), numeric(question="Wie viel ist 6 × 7? 日本")]
    publish(store, rows, [refused()])

    assert list(store.read(KEY, Example)) == rows
    assert list(store.read_rejected(KEY)) == [refused()]
    manifest = store.manifest(KEY)
    assert (manifest.rows, manifest.rejected) == (2, {"format: prompt debris": 1})


def test_the_files_lie_where_the_design_says(store: Store) -> None:
    publish(store, [example()], [refused()])

    folder = store.root / "quiz" / "normalized"
    assert sorted(f.name for f in folder.iterdir()) == [
        "quiz.jsonl",
        "quiz.manifest.json",
        "quiz.rejected.jsonl",
    ]


def test_a_partition_may_be_empty(store: Store) -> None:
    publish(store, [])

    assert store.exists(KEY)
    assert list(store.read(KEY, Example)) == []
    assert list(store.read_rejected(KEY)) == []


def test_a_failed_write_leaves_what_was_there_and_no_debris(store: Store) -> None:
    publish(store, [example()])

    def half() -> Iterator[Example]:
        yield numeric()
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        publish(store, half())

    assert list(store.read(KEY, Example)) == [example()]
    assert not [f for f in store.path(KEY).parent.iterdir() if f.name.endswith(".tmp")]


def test_a_full_disk_leaves_what_was_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(store, [example()])

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        publish(store, [numeric()])

    assert list(store.read(KEY, Example)) == [example()]


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_first_write_killed_between_its_renames_was_never_published(
    store: Store, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    with monkeypatch.context() as patch:
        Rename(patch, renames)
        with pytest.raises(Killed):
            publish(store, [example()], [refused()])

    assert not store.exists(KEY)
    with pytest.raises(StoreError, match=r"quiz/normalized/quiz: not in the store .*materialize"):
        list(store.read(KEY, Example))


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_rewrite_killed_between_its_renames_is_whole_or_a_clear_error(
    store: Store, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    publish(store, [example()], [refused("old")])
    with monkeypatch.context() as patch:
        Rename(patch, renames)
        with pytest.raises(Killed):
            publish(store, [numeric(), example()], [refused("new"), refused("new")])

    for read, old in (
        (lambda: list(store.read(KEY, Example)), [example()]),
        (lambda: list(store.read_rejected(KEY)), [refused("old")]),
    ):
        try:
            assert read() == old
        except StoreError as error:
            assert "published; materialize quiz/normalized/quiz again" in str(error)  # noqa: PT017


def test_rejected_rows_are_verified_like_accepted_ones(store: Store) -> None:
    publish(store, [example()], [refused("a"), refused("b")])
    path = store.rejected_path(KEY)
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])

    with pytest.raises(StoreError, match=r"quiz\.rejected\.jsonl: holds 1 rows that differ"):
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


def test_a_line_that_was_edited_by_hand_is_noticed(store: Store) -> None:
    publish(store, [example()])
    path = store.path(KEY)
    path.write_text(path.read_text("utf-8").replace("France", "Italy"), "utf-8")

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

    with pytest.raises(StoreError, match=r"quiz\.jsonl: gone; materialize quiz/normalized/quiz"):
        list(store.read(KEY, Example))


def test_a_corrupt_manifest_is_named(store: Store) -> None:
    publish(store, [example()])
    path = store.path(KEY).with_suffix(".manifest.json")
    path.write_text("{", "utf-8")

    with pytest.raises(StoreError, match=r"quiz\.manifest\.json: corrupt manifest"):
        store.manifest(KEY)


def test_a_lone_surrogate_costs_a_mark_and_not_the_partition(store: Store) -> None:
    key = PartitionKey("quiz", "seeds", "quiz")
    with store.write(key) as out:
        out.accept(seed(0, text="broken \ud800 here", whole="\U0001f600", many=["a\udfff"]))

    (row,) = store.read(key, Seed)
    assert row.row == {"text": "broken � here", "whole": "\U0001f600", "many": ["a�"]}


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
