"""Writing partitions, replacing them, and reading them while they are replaced."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import IO

import pytest

from sdg_assets.errors import StoreError, TransientError
from sdg_assets.records import Example
from sdg_assets.store import partitions as storage
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import listing, write_atomic
from sdg_assets_tests.store.publishing import KEY, either, names, publish, refused
from sdg_assets_tests.support.memory import peak_bytes
from sdg_assets_tests.support.records import example, numeric, seed


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest) -> Store:
    """A store in a directory, then one in a bucket."""
    return either(request)


def test_what_was_written_is_what_is_read(store: Store) -> None:
    rows = [example(), numeric(question="Wie viel ist 6 × 7? 日本")]
    publish(store, rows, [refused()])

    assert list(store.read(KEY, Example)) == rows
    assert list(store.read_rejected(KEY)) == [refused()]
    manifest = store.manifest(KEY)
    assert (manifest.rows, manifest.rejected) == (2, {"format: prompt debris": 1})


def test_the_manifest_names_the_version_whose_files_lie_in_the_partitions_folder(
    store: Store,
) -> None:
    publish(store, [example()], [refused()])

    version = store.manifest(KEY).version
    assert version
    assert names(store) == [
        "quiz/normalized/quiz.manifest.json",
        f"quiz/normalized/quiz/{version}.jsonl",
        f"quiz/normalized/quiz/{version}.rejected.jsonl",
    ]
    assert str(store.path(KEY)) == f"{store.root}/quiz/normalized/quiz/{version}.jsonl"


def test_of_many_partitions_those_that_are_there_are_told(store: Store) -> None:
    there = [PartitionKey("quiz", "seeds", f"q{n}") for n in range(3)]
    for key in there:
        with store.write(key) as out:
            out.accept(seed(0))

    found = store.manifests([*there, KEY])

    assert found == {key: store.manifest(key) for key in there}


def test_a_partition_may_be_empty(store: Store) -> None:
    publish(store, [])

    assert store.exists(KEY)
    assert list(store.read(KEY, Example)) == []
    assert list(store.read_rejected(KEY)) == []


def test_who_reads_while_a_partition_is_replaced_reads_what_they_began(store: Store) -> None:
    rows = [numeric(question=f"{n} " + "x" * 200_000) for n in range(30)]  # more than one range
    publish(store, rows)
    reading = store.read(KEY, Example)
    first = next(reading)

    publish(store, [example()])

    assert [first, *reading] == rows
    assert list(store.read(KEY, Example)) == [example()]


def test_who_reads_several_files_of_a_pinned_partition_reads_one_version(store: Store) -> None:
    def write(question: str) -> None:
        with store.write(KEY) as out:
            out.put(example(question=question))
            out.put(refused(question))
            out.attachments["notes"] = question.encode()

    write("old?")
    pinned = store.pinned([KEY, PartitionKey("quiz", "seeds", "absent")])
    write("new?")

    assert [row.question for row in pinned.read(KEY, Example)] == ["old?"]
    assert [row.reason for row in pinned.read_rejected(KEY)] == ["old?"]
    assert pinned.attachment(KEY, "notes") == b"old?"
    assert [row.question for row in store.read(KEY, Example)] == ["new?"]
    assert not pinned.exists(PartitionKey("quiz", "seeds", "absent"))


def test_who_writes_a_pinned_partition_reads_what_it_wrote(store: Store) -> None:
    publish(store, [example()])
    pinned = store.pinned([KEY])

    publish(pinned, [numeric()])

    assert list(pinned.read(KEY, Example)) == [numeric()]


def test_a_reader_that_was_stopped_since_it_read_the_manifest_reads_the_newer_version(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, [example()])
    manifests = [store.manifest(KEY)]
    replaced = store.path(KEY)
    publish(store, [numeric()])
    replaced.unlink()  # as a day later
    monkeypatch.setattr(
        store, "manifest", lambda key: manifests.pop() if manifests else Store.manifest(store, key)
    )

    assert list(store.read(KEY, Example)) == [numeric()]


def test_a_version_that_went_while_it_was_pinned_is_worth_another_run(store: Store) -> None:
    publish(store, [example()])
    pinned = store.pinned([KEY])
    publish(store, [numeric()])
    pinned.path(KEY).unlink()

    with pytest.raises(TransientError, match=r"\.jsonl: replaced while it was read; run again"):
        list(pinned.read(KEY, Example))


def test_a_replaced_version_goes_a_day_after_it_was_replaced_however_old_it_is(
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

    def left() -> set[str]:
        return {name.split("/")[-1].split(".")[0] for name in names(store) if "/quiz/" in name}

    first = published_after(0)
    second = published_after(72)  # the first was the published one until now
    assert left() == {first, second}
    third = published_after(95)
    assert left() == {first, second, third}
    fourth = published_after(97)  # the first was replaced 25 hours ago
    assert left() == {second, third, fourth}
    assert list(store.read(neighbour, Example)) == [example()]


def test_a_store_that_was_copied_into_a_bucket_is_read_there(directory: Store, bucket: str) -> None:
    publish(directory, [example()], [refused()])
    copied = Store(bucket)
    for file in listing(directory.root):
        write_atomic(copied.root / file.name, (directory.root / file.name).read_bytes())

    assert list(copied.read(KEY, Example)) == [example()]
    assert list(copied.read_rejected(KEY)) == [refused()]


def test_rows_larger_than_one_request_are_read_back(store: Store) -> None:
    rows = [numeric(question=f"{n} " + "x" * 200_000) for n in range(60)]  # 12 MB
    publish(store, rows)

    assert [row.question[:3] for row in store.read(KEY, Example)] == [
        row.question[:3] for row in rows
    ]


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


def test_a_large_attachment_is_never_in_memory_as_a_whole(store: Store) -> None:
    def write(file: IO[bytes]) -> None:
        for number in range(64):
            file.write(bytes([number]) * (1 << 20))

    def publish_and_read() -> None:
        with store.write(KEY) as out:
            out.put(example())
            out.attachments["large.bin"] = write
        with store.open_attachment(KEY, "large.bin") as file:
            assert [file.read(1 << 20)[0] for _ in range(64)] == list(range(64))

    assert peak_bytes(publish_and_read) < 16 << 20


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
