"""The newest materializations are read again only where something was materialized."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
import pytest

from sdg_assets.assets.newest import newest_tags

SEEDS, FILTERED = dg.AssetKey(["quiz", "seeds"]), dg.AssetKey(["quiz", "filtered"])


def make(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str, version: str) -> None:
    tags = {"dagster/data_version": version}
    event = dg.AssetMaterialization(key, partition=partition, tags=tags)
    instance.report_runless_asset_event(event)


def versions(instance: dg.DagsterInstance) -> dict[str, dict[str, str]]:
    newest = newest_tags(instance, {SEEDS: ["a", "b"], FILTERED: ["a"]})
    return {
        key.path[1]: {partition: tags["dagster/data_version"] for partition, tags in made.items()}
        for key, made in newest.items()
    }


@pytest.fixture
def reads(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages whose partitions were read from the database."""
    log, read = instance.event_log_storage, list[str]()
    unwatched = log.get_latest_storage_id_by_partition

    def watched(key: dg.AssetKey, kind: dg.DagsterEventType) -> Mapping[str, int]:
        read.append(key.path[1])
        return unwatched(key, kind)

    monkeypatch.setattr(log, "get_latest_storage_id_by_partition", watched)
    return read


def test_only_assets_with_a_new_materialization_are_read_again(
    instance: dg.DagsterInstance, reads: list[str]
) -> None:
    make(instance, SEEDS, "a", "one")
    make(instance, FILTERED, "a", "one")
    assert versions(instance) == {"seeds": {"a": "one"}, "filtered": {"a": "one"}}
    assert versions(instance) == {"seeds": {"a": "one"}, "filtered": {"a": "one"}}
    assert reads == ["seeds", "filtered"]

    make(instance, SEEDS, "a", "two")
    make(instance, SEEDS, "b", "one")

    assert versions(instance) == {"seeds": {"a": "two", "b": "one"}, "filtered": {"a": "one"}}
    assert reads == ["seeds", "filtered", "seeds"]


def test_what_was_never_made_and_what_was_wiped_is_missing(instance: dg.DagsterInstance) -> None:
    assert versions(instance) == {"seeds": {}, "filtered": {}}
    make(instance, SEEDS, "a", "one")
    make(instance, SEEDS, "b", "one")
    assert versions(instance)["seeds"] == {"a": "one", "b": "one"}

    instance.wipe_assets([SEEDS])
    assert versions(instance)["seeds"] == {}
    make(instance, SEEDS, "b", "two")
    assert versions(instance)["seeds"] == {"b": "two"}


def test_a_partition_that_joins_the_catalog_again_is_known(instance: dg.DagsterInstance) -> None:
    make(instance, SEEDS, "a", "one")
    make(instance, SEEDS, "b", "one")
    assert set(newest_tags(instance, {SEEDS: ["a"]})[SEEDS]) == {"a"}

    assert set(newest_tags(instance, {SEEDS: ["a", "b"]})[SEEDS]) == {"a", "b"}
