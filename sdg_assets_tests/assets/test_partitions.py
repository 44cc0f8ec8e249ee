from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdg_assets.assets.partitions import InvariantBrokenError, write_partition
from sdg_assets.errors import PermanentError, StoreError
from sdg_assets.examples import EnrichedExample, Record, Rejection
from sdg_assets.storage import PartitionKey, Store
from sdg_assets.teacher.conversation import Usage
from sdg_assets_tests.heldout import nothing_held_out
from sdg_assets_tests.records import enriched

KEY = PartitionKey("quiz", "filtered", "quiz")
SOUND = [enriched(), enriched(question="Where is the Louvre?")]


def refused() -> Rejection:
    return Rejection(gate="verification", reason="no majority", row={})


def test_sound_rows_are_published_with_what_was_seen(store: Store) -> None:
    usage = Usage(requests=3, output_tokens=20, seconds=2.0)
    usage.finish_reasons["stop"] += 3

    report = write_partition(
        KEY, store, [*SOUND, refused()], usage=usage, heldout=nothing_held_out(), info={"note": "x"}
    )

    assert list(store.read(KEY, EnrichedExample)) == SOUND
    assert list(store.read_rejected(KEY)) == [refused()]
    assert all(check.passed for check in report.checks)
    info = store.manifest(KEY).info
    assert info["note"] == "x"
    assert info["rejected_by_gate"] == {"verification": 1}
    assert info["usage"]["finish_reasons"] == {"stop": 3}
    assert report.metadata["tokens_per_second"] == 10
    assert report.metadata["finish_stop"] == 3
    assert report.metadata["rejected_by_verification"] == 1


def test_a_broken_invariant_keeps_the_partition_as_it_was(store: Store) -> None:
    write_partition(KEY, store, SOUND)

    with pytest.raises(InvariantBrokenError) as caught:
        write_partition(KEY, store, [*SOUND, SOUND[0]])

    assert isinstance(caught.value, PermanentError)
    assert str(caught.value).startswith("quiz/filtered/quiz: no_duplicates: 1 of 3 rows break it")
    assert list(store.read(KEY, EnrichedExample)) == SOUND


def test_a_broken_invariant_is_not_published_the_first_time_either(store: Store) -> None:
    with pytest.raises(InvariantBrokenError):
        write_partition(KEY, store, [SOUND[0], SOUND[0]])

    assert not store.exists(KEY)


def test_a_warning_does_not_keep_anything_back(store: Store) -> None:
    report = write_partition(KEY, store, [SOUND[0], *[refused()] * 20], heldout=nothing_held_out())

    assert [c.name for c in report.checks if not c.passed] == ["yield"]
    assert store.exists(KEY)


def test_a_stage_that_fails_half_way_leaves_the_partition_as_it_was(store: Store) -> None:
    write_partition(KEY, store, SOUND)

    def half() -> Iterator[Record]:
        yield SOUND[0]
        raise StoreError("line 2 is corrupt")

    with pytest.raises(StoreError, match="line 2 is corrupt"):
        write_partition(KEY, store, half())

    assert list(store.read(KEY, EnrichedExample)) == SOUND
