"""The search across partitions, on one machine and on Spark, over signatures in a real store."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sdg_assets.errors import PermanentError, StoreError
from sdg_assets.records import EnrichedExample
from sdg_assets.signatures import table
from sdg_assets.signatures.minhash import boilerplate_of
from sdg_assets.signatures.pairs import Copies
from sdg_assets.signatures.release import duplicates_across
from sdg_assets.signatures.table import ATTACHMENT, Signatures, concatenated, sign
from sdg_assets.signatures.thresholds import DuplicateThresholds
from sdg_assets.signatures.verdicts import CopiesOfKind, Verdicts
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.support.memory import bytes_a_row
from sdg_assets_tests.support.records import enriched
from sdg_assets_tests.support.signatures import parquet_of

ROUTES = [PartitionKey("quiz", "filtered", name) for name in ("east", "north", "west")]
PLACES = ["amber", "birch", "coral", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty"]


def route(rng: random.Random) -> EnrichedExample:
    """A question from a small set: many pairs are near duplicates, some equal, most neither."""
    stops = " ".join(rng.choices(PLACES, k=7))
    return enriched(question=f"Which city lies behind {stops}?", vote_share=rng.choice([0.6, 1.0]))


def everywhere(_partition: str) -> DuplicateThresholds:
    return DuplicateThresholds()


def publish(store: Store, key: PartitionKey, rows: Sequence[EnrichedExample]) -> None:
    with store.write(key) as out:
        for row in rows:
            out.accept(row)
        signed = sign(rows, boilerplate_of([]))
        out.attachments[ATTACHMENT] = partial(signed.write_parquet, str(key))


@pytest.fixture
def routes(store: Store) -> list[list[EnrichedExample]]:
    rng = random.Random(5)
    rows = [[route(rng) for _ in range(40)] for _ in ROUTES]
    rows[1][0] = rows[0][0]
    for key, own in zip(ROUTES, rows, strict=True):
        publish(store, key, own)
    return rows


def test_copies_are_found_across_partitions_by_signatures_alone(
    store: Store, routes: list[list[EnrichedExample]]
) -> None:
    for key in ROUTES:
        store.path(key).unlink()

    verdicts = duplicates_across(store, ROUTES, everywhere, "local", {})

    assert set(verdicts.frame["reason"]) == {"exact duplicate", "near duplicate"}
    first, second = (verdicts.refusals(str(key)) for key in ROUTES[:2])
    # For fully equal rows: if one stays, it is the one in the partition whose name sorts first.
    assert 0 in second
    assert first.get(0) is None or first[0].reason == "near duplicate"
    assert len(verdicts) == sum(len(verdicts.refusals(str(key))) for key in ROUTES)


def test_the_order_of_partitions_does_not_matter(
    store: Store, routes: list[list[EnrichedExample]]
) -> None:
    one, other = (
        duplicates_across(store, keys, everywhere, "local", {}) for keys in (ROUTES, ROUTES[::-1])
    )

    assert_frame_equal(one.frame, other.frame)


def test_no_two_of_the_rows_that_stay_are_copies(
    store: Store, routes: list[list[EnrichedExample]]
) -> None:
    verdicts = duplicates_across(store, ROUTES, everywhere, "local", {})
    for key, rows in zip(ROUTES, routes, strict=True):
        gone = verdicts.refusals(str(key))
        publish(store, key, [row for place, row in enumerate(rows) if place not in gone])

    assert len(duplicates_across(store, ROUTES, everywhere, "local", {})) == 0


def test_a_row_that_is_refused_names_one_that_stays(
    store: Store, routes: list[list[EnrichedExample]]
) -> None:
    verdicts = duplicates_across(store, ROUTES, everywhere, "local", {})
    rows = dict(zip(map(str, ROUTES), routes, strict=True))
    gone = {
        (p, rows[p][place].id) for p, place in verdicts.frame.select("partition", "place").rows()
    }

    near = verdicts.frame.filter(reason="near duplicate")
    assert len(near) > 0
    assert not gone & set(near.select("original_partition", "original").rows())


@pytest.fixture
def best_are_refused(store: Store, routes: list[list[EnrichedExample]]) -> dict[str, list[int]]:
    """The places of the rows that others duplicate: a gate refuses them."""
    verdicts = duplicates_across(store, ROUTES, everywhere, "local", {})
    originals = set(verdicts.frame.select("original_partition", "original").rows())
    return {
        str(key): [place for place, row in enumerate(rows) if (str(key), row.id) in originals]
        for key, rows in zip(ROUTES, routes, strict=True)
    }


def test_the_search_without_refused_rows_is_the_search_over_the_others(
    store: Store, routes: list[list[EnrichedExample]], best_are_refused: dict[str, list[int]]
) -> None:
    all_at_once = duplicates_across(store, ROUTES, everywhere, "local", {})

    without = duplicates_across(store, ROUTES, everywhere, "local", best_are_refused)

    assert 0 < len(without) < len(all_at_once), "copies of refused rows stay"
    places = {}
    for key, rows in zip(ROUTES, routes, strict=True):
        left = [n for n in range(len(rows)) if n not in best_are_refused[str(key)]]
        places[str(key)] = left
        publish(store, key, [rows[place] for place in left])
    others = duplicates_across(store, ROUTES, everywhere, "local", {})
    for name, left in places.items():
        assert {left[place]: each for place, each in others.refusals(name).items()} == dict(
            without.refusals(name)
        )


def test_no_partitions_have_no_copies(store: Store) -> None:
    assert len(duplicates_across(store, [], everywhere, "local", {})) == 0


def test_a_partition_without_signatures_is_named(store: Store) -> None:
    with store.write(ROUTES[0]) as out:
        out.accept(enriched())

    with pytest.raises(
        StoreError, match=r"east/.*\.signatures\.parquet: .* materialize quiz/filtered"
    ):
        duplicates_across(store, ROUTES[:1], everywhere, "local", {})


def test_signatures_of_another_format_are_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "FORMAT", "0")
    publish(store, ROUTES[0], [enriched()])
    monkeypatch.undo()

    with pytest.raises(StoreError, match="signatures of format 0, this version compares format 1"):
        duplicates_across(store, ROUTES[:1], everywhere, "local", {})


@pytest.mark.parametrize("rows_per_group", [7, 30, 100])
def test_signatures_come_back_as_they_were_stored(
    monkeypatch: pytest.MonkeyPatch, rows_per_group: int
) -> None:
    monkeypatch.setattr(table, "ROWS_PER_GROUP", rows_per_group)
    signed = sign([route(random.Random(n)) for n in range(30)], boilerplate_of([]))

    content = parquet_of(signed, "quiz/filtered/east")
    batches = list(Signatures.batches(io.BytesIO(content), "east"))
    again = concatenated(batches)

    assert all(len(batch) <= rows_per_group for batch in batches)

    assert_frame_equal(again.frame, signed.frame)
    assert (again.bands == signed.bands).all()
    assert (again.parts == signed.parts).all()
    assert (again.present == signed.present).all()
    assert parquet_of(again, "quiz/filtered/east") == content


@pytest.fixture
def local_spark(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from pyspark.sql import SparkSession

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)

    options = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
    }
    builder = SparkSession.builder.master("local[1]")
    for name, value in options.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield
    session.stop()


def mostly_alike(partition: str) -> DuplicateThresholds:
    """The task of the north has a higher threshold."""
    return DuplicateThresholds(near_duplicate_similarity=0.95 if "north" in partition else 0.5)


def test_each_row_is_measured_by_its_own_tasks_thresholds(
    store: Store, routes: list[list[EnrichedExample]]
) -> None:
    verdicts = duplicates_across(store, ROUTES, mostly_alike, "local", {}).frame
    usual = duplicates_across(store, ROUTES, everywhere, "local", {}).frame

    def near(frame: pl.DataFrame, *names: str) -> list[float]:
        keys = [f"quiz/filtered/{name}" for name in names]
        rows = frame.filter(pl.col("partition").is_in(keys), reason="near duplicate")
        return [float(similarity) for similarity in rows["similarity"]]

    assert min(near(usual, "north")) < 0.95
    assert all(similarity >= 0.95 for similarity in near(verdicts, "north"))
    assert len(near(verdicts, "east", "west")) >= len(near(usual, "east", "west")) > 0
    assert min(near(verdicts, "east", "west")) < 0.95


@pytest.mark.usefixtures("local_spark")
@pytest.mark.parametrize("thresholds", [everywhere, mostly_alike])
def test_spark_finds_the_same_as_one_machine(
    store: Store,
    routes: list[list[EnrichedExample]],
    thresholds: Callable[[str], DuplicateThresholds],
    best_are_refused: dict[str, list[int]],
) -> None:
    for without in ({}, best_are_refused):
        local, spark = (
            duplicates_across(store, ROUTES, thresholds, engine, without)
            for engine in ("local", "spark")
        )

        assert len(local) > 10
        assert_frame_equal(local.frame, spark.frame)


def test_spark_that_is_not_installed_is_named(
    store: Store, routes: list[list[EnrichedExample]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)

    with pytest.raises(PermanentError, match=r"install sdg-assets\[spark\]"):
        duplicates_across(store, ROUTES, everywhere, "spark", {})


def test_spark_is_refused_where_its_workers_could_not_read(bucket: str) -> None:
    store = Store(bucket)
    with store.write(ROUTES[0]) as out:
        out.attachments[ATTACHMENT] = b"signatures"

    with pytest.raises(PermanentError, match="SDG_DUPLICATE_SEARCH=spark needs a store in a dir"):
        duplicates_across(store, ROUTES[:1], everywhere, "spark", {})


def test_the_refusals_of_a_partition_are_made_one_by_one() -> None:
    def refuse(rows: int) -> None:
        frame = pl.DataFrame({"id": ["x"] * rows, "partition": 0, "place": range(rows)})
        halves = np.arange(rows // 2)
        copies = Copies(halves, halves + rows // 2, np.ones(rows // 2, np.float32))
        refusals = Verdicts.of(["one"], [CopiesOfKind("near duplicate", frame, copies)])
        of_one = refusals.refusals("one")
        assert sum(of_one.get(place) is not None for place in range(rows)) == rows // 2

    assert bytes_a_row(refuse, 1000) < 100
