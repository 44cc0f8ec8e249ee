"""Files of a partition that are damaged: each fault is noticed and named."""

from __future__ import annotations

import pytest

from sdg_assets.errors import StoreError
from sdg_assets.records import Example, Seed
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.store.publishing import KEY, either, publish, refused
from sdg_assets_tests.support.records import example, numeric, seed


@pytest.fixture(params=["directory", "bucket"])
def store(request: pytest.FixtureRequest) -> Store:
    """A store in a directory, then one in a bucket."""
    return either(request)


def test_a_corrupt_manifest_is_replaced_by_the_next_run(store: Store) -> None:
    publish(store, [example()])
    store.manifest_path(KEY).write_bytes(b"{")

    publish(store, [numeric()])

    assert list(store.read(KEY, Example)) == [numeric()]


def test_rejected_rows_are_verified_like_accepted_ones(store: Store) -> None:
    publish(store, [example()], [refused("a"), refused("b")])
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


def test_a_line_that_was_edited_by_hand_is_noticed(store: Store) -> None:
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


def test_a_lone_surrogate_costs_a_mark_and_not_the_partition(store: Store) -> None:
    key = PartitionKey("quiz", "seeds", "quiz")
    with store.write(key) as out:
        out.accept(seed(0, text="broken \ud800 here", whole="\U0001f600", many=["a\udfff"]))

    (row,) = store.read(key, Seed)
    assert row.row == {"text": "broken � here", "whole": "\U0001f600", "many": ["a�"]}
