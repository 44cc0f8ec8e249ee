from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.assets.metadata import check_metadata
from sdg_assets.assets.writing import InvariantBrokenError, PartitionReport, write_partition
from sdg_assets.errors import PermanentError, StoreError
from sdg_assets.records import EnrichedExample, Record, Rejection
from sdg_assets.signatures.minhash import boilerplate_of
from sdg_assets.signatures.table import ATTACHMENT, Signatures, sign
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.conversation import Usage
from sdg_assets_tests.support.heldout import nothing_held_out
from sdg_assets_tests.support.records import enriched

KEY = PartitionKey("quiz", "filtered", "quiz")
SOUND = [enriched(), enriched(question="Where is the Louvre?")]


def refused() -> Rejection:
    return Rejection(gate="verification", reason="no majority", row={})


def published(store: Store, rows: Iterable[Record], **options: Any) -> PartitionReport:
    """Writes rows with their signatures, as `filtered` does."""
    passed: list[EnrichedExample] = []

    def rows_noted() -> Iterator[Record]:
        for row in rows:
            if isinstance(row, EnrichedExample):
                passed.append(row)
            yield row

    signatures = options.pop("signatures", lambda: sign(passed, boilerplate_of([])))
    options.setdefault("heldout", nothing_held_out())
    return write_partition(KEY, store, rows_noted(), signatures=signatures, **options)


def test_sound_rows_are_published_with_what_was_seen(store: Store) -> None:
    usage = Usage(requests=3, output_tokens=20, reasoning_tokens=12, seconds=2.0)
    usage.finish_reasons["stop"] += 3

    report = published(store, [*SOUND, refused()], usage=usage, info={"note": "x"})

    assert list(store.read(KEY, EnrichedExample)) == SOUND
    assert list(store.read_rejected(KEY)) == [refused()]
    assert all(check.passed for check in report.checks)
    info = store.manifest(KEY).info
    assert info["note"] == "x"
    assert info["rejected_by_gate"] == {"verification": 1}
    assert info["usage"]["finish_reasons"] == {"stop": 3}
    assert report.metadata["tokens_per_second"] == 10
    assert report.metadata["reasoning_tokens"] == 12
    assert report.metadata["finish_stop"] == 3
    assert report.metadata["rejected_by_verification"] == 1


def test_a_broken_invariant_keeps_the_partition_as_it_was(store: Store) -> None:
    published(store, SOUND)

    with pytest.raises(InvariantBrokenError) as caught:
        published(store, [*SOUND, SOUND[0]])

    assert isinstance(caught.value, PermanentError)
    assert str(caught.value).startswith("quiz/filtered/quiz: no_duplicates: 1 of 3 rows break it")
    assert list(store.read(KEY, EnrichedExample)) == SOUND


def test_a_second_version_shows_how_each_stage_has_changed(store: Store) -> None:
    def above(*rows: Record) -> None:
        with store.write(PartitionKey("quiz", "enriched", "quiz")) as out:
            for row in rows:
                out.put(row)

    def labels(report: PartitionReport) -> list[str]:
        picture = report.metadata["funnel_picture"].value
        svg = b64decode(picture.partition("base64,")[2].rstrip(")")).decode()
        return re.findall(r">([^<]+)</text>", svg)

    above(*SOUND)
    first = published(store, [SOUND[0], refused()])
    above(*SOUND, enriched(question="Where is the Seine?"))
    second = published(store, [*SOUND, refused()])

    assert labels(first) == ["enriched 2", "filtered 1, 1 refused"]
    assert "The first materialization" in first.metadata["funnel"].value
    assert labels(second) == ["enriched 3 (+1)", "filtered 2 (+1), 1 refused"]
    assert "| yield | 66.7% | +16.7 points |" in second.metadata["funnel"].value


def test_signatures_are_published_with_the_rows_that_they_are_of(store: Store) -> None:
    published(store, [*SOUND, refused()])

    with store.open_attachment(KEY, ATTACHMENT) as file:
        (stored,) = Signatures.batches(file, str(KEY))
    assert stored.frame["id"].to_list() == [row.id for row in SOUND]


def test_rows_that_were_refused_are_kept_where_the_check_says_though_none_is_published(
    store: Store,
) -> None:
    published(store, SOUND)

    with pytest.raises(InvariantBrokenError) as caught:
        published(store, [refused()])

    (check,) = [c for c in caught.value.report.checks if c.blocking]
    assert check.name == "rows"
    assert f"Its refused rows are kept in {check.kept_at} for 14 days" in str(caught.value)
    assert Path(check.kept_at).read_bytes() == refused().model_dump_json().encode() + b"\n"
    assert check_metadata(check)["refused_rows"].value == check.kept_at
    assert list(store.read(KEY, EnrichedExample)) == SOUND


def test_a_person_may_accept_that_nothing_is_left(store: Store) -> None:
    published(store, SOUND)
    published(store, [refused()], accept_smaller=True)

    with store.open_attachment(KEY, ATTACHMENT) as file:
        assert list(Signatures.batches(file, str(KEY))) == []
    assert list(store.read(KEY, EnrichedExample)) == []


def test_the_check_compares_with_the_version_that_is_published(store: Store) -> None:
    thirty_rows = [enriched(question=f"Where is place number {n}?") for n in range(30)]
    published(store, thirty_rows)

    with pytest.raises(InvariantBrokenError, match="rows: 1 of 30 rows are left; in the "):
        published(store, [thirty_rows[0], *[refused()] * 29])

    assert len(list(store.read(KEY, EnrichedExample))) == 30
    published(store, thirty_rows[:20] + [refused()] * 10)
    assert len(list(store.read(KEY, EnrichedExample))) == 20


def test_rows_without_their_own_signatures_are_not_published(store: Store) -> None:
    others = sign(SOUND[::-1], boilerplate_of([]))

    with pytest.raises(InvariantBrokenError, match="no_duplicates: 2 of 2 rows break it"):
        published(store, SOUND, signatures=lambda: others)
    with pytest.raises(InvariantBrokenError, match="no_duplicates: 2 of 2 rows break it"):
        published(store, SOUND, signatures=None)


def test_a_broken_invariant_is_not_published_the_first_time_either(store: Store) -> None:
    with pytest.raises(InvariantBrokenError):
        published(store, [SOUND[0], SOUND[0]])

    assert not store.exists(KEY)


def test_a_warning_does_not_keep_anything_back(store: Store) -> None:
    report = published(store, [SOUND[0], *[refused()] * 20])

    assert [c.name for c in report.checks if not c.passed] == ["yield"]
    assert store.exists(KEY)


def test_a_stage_that_fails_half_way_leaves_the_partition_as_it_was(store: Store) -> None:
    published(store, SOUND)

    def failing_rows() -> Iterator[Record]:
        yield SOUND[0]
        raise StoreError("line 2 is corrupt")

    with pytest.raises(StoreError, match="line 2 is corrupt"):
        published(store, failing_rows())

    assert list(store.read(KEY, EnrichedExample)) == SOUND
