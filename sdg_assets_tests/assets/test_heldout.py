from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.heldout import heldout_asset, protected_asset
from sdg_assets.catalog import Catalog, SubtaskSpec, cached_catalog, load_protected
from sdg_assets.errors import CatalogError, SeedSourceError, StoreError
from sdg_assets.heldout.freshness import FINGERPRINT, fingerprint_of
from sdg_assets.heldout.protection import (
    Protection,
    benchmarks_to_hash,
    heldout_key,
    is_hashed,
    protection,
)
from sdg_assets.heldout.splits import HashedSplit
from sdg_assets.records import Rejection
from sdg_assets.settings import settings
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure, on_disk
from sdg_assets_tests.support.builders import MIRROR, TINY, write_catalog
from sdg_assets_tests.support.heldout import FILLERS, as_if_read_now
from sdg_assets_tests.support.runs import QUIET, failures, metadata, run

LEAKED = "Which harbour town lent its name to the oldest sea shanty that dockers still sing?"


def question(text: str) -> dict[str, Any]:
    return {"question": text, "choices": [f"{text} yes", f"{text} no"], "label": 0}


@pytest.fixture
def quiz(tmp_path: Path, configure: Configure) -> Path:
    """A task whose test split contains one of its training rows."""
    splits = tmp_path / "hub" / "org" / "quiz" / "main"
    splits.mkdir(parents=True)
    for split, texts in {"train": [LEAKED, *FILLERS[:3]], "test": [LEAKED, *FILLERS[3:]]}.items():
        lines = (json.dumps(question(text)) for text in texts)
        (splits / f"{split}.jsonl").write_text("\n".join(lines), "utf-8")
    configure(
        catalog=write_catalog(tmp_path / "catalog", {}), seed_source=f"mirror:{tmp_path / 'hub'}"
    )
    return splits


def materialize(
    asset: dg.AssetsDefinition, partition: str, instance: dg.DagsterInstance
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [asset],
        partition_key=partition,
        instance=instance,
        run_config={"loggers": QUIET},
        raise_on_error=False,
    )


def evaluation(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (match,) = [
        event.asset_check_evaluation_data
        for event in result.all_events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    return match


def guarded(store: Store, catalog: Catalog, spec: SubtaskSpec, without: set[str]) -> Protection:
    return protection(store, catalog, [spec], without, settings().seed_source)


def hash_quiz(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return materialize(
        heldout_asset(cached_catalog(settings().catalog).task("quiz")), "quiz", instance
    )


def test_a_tasks_held_out_splits_are_hashed(
    quiz: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    result = hash_quiz(instance)

    assert result.success
    assert evaluation(result).passed
    partition_metadata = metadata(instance, "quiz", "heldout", "quiz")
    assert (partition_metadata["rows"], partition_metadata["missing"]) == (len(FILLERS) - 2, [])
    (split,) = store.read(heldout_key("quiz", "quiz"), HashedSplit)
    assert (split.split, split.rows) == ("test", len(FILLERS) - 2)
    assert split.revision.startswith("local:")


def test_no_file_of_the_store_holds_a_held_out_word(
    quiz: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    hash_quiz(instance)

    stored = b"".join(f.read_bytes() for f in on_disk(store.root).rglob("*") if f.is_file()).lower()
    assert stored
    assert not [w for w in b"harbour shanty dockers violin butterflies".split() if w in stored]


def test_a_training_row_that_is_held_out_never_becomes_a_seed(
    quiz: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    assert run("quiz", ("seeds", "normalized"), instance=instance).success

    key = PartitionKey("quiz", "normalized", "quiz")
    (refused,) = store.read_rejected(key)
    assert isinstance(refused, Rejection)
    assert (refused.gate, refused.reason, refused.detail) == (
        "contamination", "exact row", "quiz/quiz",
    )  # fmt: skip
    assert refused.row["question"] == LEAKED
    record = store.manifest(key).info["contamination"]
    assert (record["rows"], record["refused"]) == (4, 1)
    assert list(record["against"]) == ["quiz/quiz"]
    assert record["benchmarks"]["quiz/quiz"]["refused"] == 1
    assert record["without"] == [benchmark.name for benchmark in load_protected()]
    partition_metadata = metadata(instance, "quiz", "normalized", "quiz")
    assert partition_metadata["contaminated"] == 1
    assert "quiz/quiz" in partition_metadata["contamination"]


def test_rows_are_not_normalized_before_their_held_out_splits_are_hashed(
    quiz: Path, configure: Configure, store: Store
) -> None:
    catalog = cached_catalog(settings().catalog)

    with pytest.raises(StoreError, match=r"materialize quiz/heldout \(partition quiz\) first"):
        guarded(store, catalog, catalog.subtask("quiz", "quiz"), {"all"})


def test_the_first_task_that_is_materialized_brings_the_protected_benchmarks_along(
    quiz: Path, configure: Configure, store: Store, instance: dg.DagsterInstance
) -> None:
    configure(without_benchmarks="hle")

    result = run("quiz", ("seeds", "normalized"), instance=instance)

    assert result.success, failures(result)
    names = {benchmark.name for benchmark in load_protected()} - {"hle"}
    key = dg.AssetKey(["protected", "heldout"])
    assert instance.get_materialized_partitions(key) == names
    assert store.manifest(PartitionKey("quiz", "normalized", "quiz")).info["contamination"][
        "without"
    ] == ["hle"]
    partition_metadata = metadata(instance, "protected", "heldout", "gsm8k")
    assert partition_metadata["missing"] == ["openai/gsm8k main test", "openai/gsm8k socratic test"]

    hash_quiz(instance)

    events = instance.fetch_materializations(key, limit=1000).records
    assert len(events) == len(names), "hashed benchmarks are not hashed again"


def test_the_check_of_a_benchmark_is_of_the_source_that_it_was_hashed_from_last(
    quiz: Path, configure: Configure, instance: dg.DagsterInstance
) -> None:
    names = {benchmark.name for benchmark in load_protected()}
    without = ",".join(names - {"hle"})
    for source in ("samples", f"mirror:{quiz.parents[2]}"):
        configure(without_benchmarks=without, seed_source=source)
        result = hash_quiz(instance)
        assert result.success, failures(result)

    check = dg.AssetCheckKey(dg.AssetKey(["protected", "heldout"]), "heldout_complete")
    (status,) = instance.event_log_storage.get_asset_check_partition_info([check])
    assert status.partition_key == "hle"
    assert status.is_current


def test_a_benchmark_that_is_not_open_to_us_stops_the_rows_and_not_the_hashes(
    quiz: Path, configure: Configure, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {benchmark.name for benchmark in load_protected()}
    configure(without_benchmarks=",".join(names - {"hle"}))

    def refused(*arguments: object) -> None:
        raise SeedSourceError("hle: gated on the Hub. Accept its licence")

    monkeypatch.setattr("sdg_assets.assets.heldout._read", refused)
    assert hash_quiz(instance).success

    result = run("quiz", ("seeds", "normalized"), instance=instance)

    (message,) = failures(result)
    assert "1 protected benchmarks are not hashed" in message
    assert "SDG_WITHOUT_BENCHMARKS" in message


def test_every_protected_benchmark_must_be_hashed_or_named(
    quiz: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    hash_quiz(instance)
    catalog = cached_catalog(settings().catalog)
    spec = catalog.subtask("quiz", "quiz")
    names = [benchmark.name for benchmark in load_protected()]

    with pytest.raises(StoreError, match=r"2 protected .* not hashed from mirror:\S+: hle, gpqa\."):
        guarded(store, catalog, spec, set(names) - {"gpqa", "hle"})
    assert guarded(store, catalog, spec, set(names)).without == names
    with pytest.raises(CatalogError, match="no protected benchmark 'gqpa'; did you mean gpqa"):
        guarded(store, catalog, spec, {"gqpa"})


def test_a_benchmark_that_a_mirror_lacks_is_shown_and_recorded(
    quiz: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    result = materialize(protected_asset(), "gsm8k", instance)

    assert result.success
    check = evaluation(result)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert str(check.description).startswith(
        "0 of 2 held-out splits are hashed; 2 are not in mirror"
    )
    offenders = str(check.metadata["offending_rows"].value)
    assert "| openai/gsm8k main test | gsm8k/main: mirror" in offenders
    partition_metadata = metadata(instance, "protected", "heldout", "gsm8k")
    assert str(partition_metadata["read"]).startswith(
        "**Nothing was read: rows are compared with none of these splits.**"
    )
    assert "- openai/gsm8k socratic test: gsm8k/socratic: mirror" in str(partition_metadata["read"])
    assert "| openai/gsm8k | main | test | 0 | 0 | gsm8k/main: mirror" in str(
        partition_metadata["splits"]
    )
    hash_quiz(instance)
    catalog = cached_catalog(settings().catalog)
    guard = guarded(store, catalog, catalog.subtask("quiz", "quiz"), {"all"})
    assert guard.missing["gsm8k"] == ["openai/gsm8k main test", "openai/gsm8k socratic test"]
    assert "gsm8k" not in guard.against, "none of its splits was hashed"
    assert "gsm8k" not in guard.without


def test_a_split_that_is_there_without_rows_is_an_error_and_nothing_passes_it(
    quiz: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    (quiz / "test.jsonl").write_text("", "utf-8")

    check = evaluation(hash_quiz(instance))

    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "1 have no rows" in str(check.description)
    partition_metadata = metadata(instance, "quiz", "heldout", "quiz")
    assert "- org/quiz main test: it has no rows" in str(partition_metadata["read"])
    catalog = cached_catalog(settings().catalog)
    with pytest.raises(StoreError, match=r"held-out splits without rows in mirror.*main test, so"):
        guarded(store, catalog, catalog.subtask("quiz", "quiz"), {"all"})


def test_a_manifest_that_says_no_rows_is_not_complete(
    quiz: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    hash_quiz(instance)
    key, source = heldout_key("quiz", "quiz"), settings().seed_source
    catalog = cached_catalog(settings().catalog)
    spec = catalog.subtask("quiz", "quiz")
    assert is_hashed(store, spec, source)
    with store.write(key) as out:
        out.info = {"rows": 0, "splits": 1, **as_if_read_now(spec, source)}

    assert not is_hashed(store, spec, source)
    with pytest.raises(StoreError, match=r"without rows in mirror.*all of them"):
        guarded(store, catalog, spec, {"all"})


def test_nothing_from_the_hub_is_not_complete_and_from_a_mirror_it_is(
    quiz: Path, store: Store
) -> None:
    spec = cached_catalog(settings().catalog).subtask("quiz", "quiz")
    nothing = {"rows": 0, "splits": 1, "missing": ["org/quiz main x"]}
    for source in ("samples", settings().seed_source):
        with store.write(heldout_key("quiz", "quiz")) as out:
            out.info = {**nothing, **as_if_read_now(spec, source)}

        assert is_hashed(store, spec, source)

    with store.write(heldout_key("quiz", "quiz")) as out:
        out.info = {**nothing, "source": "hub", FINGERPRINT: fingerprint_of([])}
    assert not is_hashed(store, spec, "hub")


def test_a_page_says_that_everything_was_read(
    quiz: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    hash_quiz(instance)

    partition_metadata = metadata(instance, "quiz", "heldout", "quiz")
    assert partition_metadata["read"] == "All 1 held-out splits were read."
    assert f"| org/quiz | main | test | {len(FILLERS) - 2} | 0 |  |" in str(
        partition_metadata["splits"]
    )


def test_a_benchmark_that_is_not_open_to_us_fails_for_good_and_says_how_to_go_on(
    quiz: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gated:
        name = "hub"

        def configs(self, dataset: str) -> list[str]:
            return ["default"]

        def splits(self, spec: object) -> Iterator[str]:
            raise SeedSourceError("hle: gated on the Hub. Accept its licence")

    monkeypatch.setattr("sdg_assets.assets.heldout.open_source", lambda setting: Gated())

    result = materialize(protected_asset(), "hle", instance)

    (message,) = failures(result)
    assert "gated on the Hub" in message
    assert "add hle to SDG_WITHOUT_BENCHMARKS" in message
    events = [e for e in result.all_events if e.event_type_value == "STEP_RESTARTED"]
    assert not events


def test_a_new_hash_of_a_split_is_a_new_index(
    quiz: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    hash_quiz(instance)
    catalog = cached_catalog(settings().catalog)
    spec = catalog.subtask("quiz", "quiz")
    first = guarded(store, catalog, spec, {"all"})
    assert guarded(store, catalog, spec, {"all"}).index is first.index

    (quiz / "test.jsonl").write_text(json.dumps(question(LEAKED)), "utf-8")
    hash_quiz(instance)

    second = guarded(store, catalog, spec, {"all"})
    assert (len(first.index), len(second.index)) == (len(FILLERS) - 2, 1)
    assert first.against != second.against


def test_what_one_source_lacked_is_read_again_from_another(
    quiz: Path, configure: Configure, store: Store, instance: dg.DagsterInstance
) -> None:
    configure(seed_source="samples")
    assert not evaluation(hash_quiz(instance)).passed
    catalog = cached_catalog(settings().catalog)
    spec = catalog.subtask("quiz", "quiz")
    assert guarded(store, catalog, spec, {"all"}).missing == {"quiz/quiz": ["org/quiz main test"]}

    configure(seed_source=f"mirror:{quiz.parents[2]}")

    with pytest.raises(StoreError, match="its held-out splits are not hashed from mirror"):
        guarded(store, catalog, spec, {"all"})


def test_benchmarks_that_were_hashed_from_a_small_mirror_are_hashed_again_from_the_whole_one(
    configure: Configure, store: Store, instance: dg.DagsterInstance
) -> None:
    wanted = ["mmlu", "nq_open", "social_iqa"]
    without = {benchmark.name for benchmark in load_protected()} - {*wanted}
    for directory in (TINY, MIRROR):
        source = f"mirror:{directory}"
        configure(seed_source=source)
        assert benchmarks_to_hash(store, without, source) == wanted
        for name in wanted:
            assert materialize(protected_asset(), name, instance).success
        assert benchmarks_to_hash(store, without, source) == []
    assert benchmarks_to_hash(store, without, "hub") == wanted


@pytest.mark.parametrize("splits", [["test"], ["validation", "test"]])
def test_an_empty_held_out_split_blocks_its_partition_and_is_named(
    splits: list[str], tmp_path: Path, quiz: Path, configure: Configure, store: Store,
    instance: dg.DagsterInstance,
) -> None:  # fmt: skip
    lines = (json.dumps(question(text)) for text in FILLERS)
    (quiz / "validation.jsonl").write_text("\n".join(lines), "utf-8")
    (quiz / "test.jsonl").write_text("", "utf-8")
    configure(
        catalog=write_catalog(tmp_path / "other", {"heldout_splits": splits}),
        seed_source=f"mirror:{quiz.parents[2]}",
    )
    check = evaluation(hash_quiz(instance))
    catalog = cached_catalog(settings().catalog)

    assert not check.passed
    assert "No rows in org/quiz main test" in str(check.description)
    with pytest.raises(StoreError, match=r"held-out splits without rows in .*org/quiz main test"):
        guarded(store, catalog, catalog.subtask("quiz", "quiz"), {"all"})


def test_a_protected_benchmark_without_a_row_counts_as_not_hashed(
    quiz: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    hash_quiz(instance)
    (gsm8k,) = (benchmark for benchmark in load_protected() if benchmark.name == "gsm8k")
    with store.write(heldout_key("protected", "gsm8k")) as out:
        out.info = {"rows": 0, **as_if_read_now(gsm8k, settings().seed_source)}
    catalog = cached_catalog(settings().catalog)
    names = {benchmark.name for benchmark in load_protected()}

    with pytest.raises(StoreError, match=r"1 protected benchmarks are not hashed .*: gsm8k\."):
        guarded(store, catalog, catalog.subtask("quiz", "quiz"), names - {"gsm8k"})
