"""A release says for every held-out split: compared, or why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.catalog import cached_catalog, load_catalog, load_protected
from sdg_assets.heldout.coverage import SplitCoverage, coverage, not_compared
from sdg_assets.heldout.freshness import FINGERPRINT, fingerprint_of
from sdg_assets.heldout.protection import PROTECTED, heldout_key
from sdg_assets.heldout.splits import HashedSplit
from sdg_assets.store.partitions import Store
from sdg_assets_tests.support.builders import write_catalog

EXAM = {
    "task": "exam",
    "dataset": "cais/mmlu",
    "heldout_splits": ["test"],
    "subtasks": {"exam_on": {"config": "law"}, "exam_off": {"config": "anatomy"}},
}


def hashed(store: Store, task: str, key: str, *splits: tuple[str, str, str, int, str]) -> None:
    of_splits = [
        HashedSplit(
            dataset=dataset,
            config=config,
            split=split,
            revision="r0",
            rows=rows,
            unanswered=0,
            unmapped=0,
            missing=missing,
        )
        for dataset, config, split, rows, missing in splits
    ]
    with store.write(heldout_key(task, key)) as out:
        out.info = {"source": "hub", FINGERPRINT: fingerprint_of(of_splits)}
        for of_split in of_splits:
            out.accept(of_split)


def account(root: Path, *without: str) -> dict[tuple[str, str, str], SplitCoverage]:
    store = Store(root / "store")
    off = {"enabled": False, "why": "its rows are evaluated on"}
    subtasks = {**EXAM["subtasks"], "exam_off": {"config": "anatomy", **off}}  # type: ignore[dict-item]
    catalog = load_catalog(
        write_catalog(root / "catalog", {}, {**EXAM, "subtasks": subtasks}), allow_canary=()
    )
    splits = coverage(store, catalog, without, "hub")
    splits_by_name = {(s.collection, s.config, s.split): s for s in splits}
    assert len(splits_by_name) <= len(splits)
    return splits_by_name


def test_a_hashed_split_is_compared_with_and_others_say_why_not(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    hashed(store, "quiz", "quiz", ("org/quiz", "main", "test", 7, ""))
    hashed(
        store,
        "exam",
        "exam_on",
        ("cais/mmlu", "law", "test", 0, f"{tmp_path} has no cais/mmlu"),
        ("cais/mmlu", "law", "dev", 0, ""),
    )

    splits_by_name = account(tmp_path, "hle")

    quiz = splits_by_name["quiz/quiz", "main", "test"]
    assert (quiz.compared, quiz.rows, quiz.detail) == (True, 7, "")
    assert splits_by_name["exam/exam_on", "law", "test"].reason == "not in the source"
    assert str(tmp_path) not in splits_by_name["exam/exam_on", "law", "test"].detail, (
        "a path of one machine"
    )
    assert splits_by_name["exam/exam_on", "law", "dev"].reason == "without rows"
    off = splits_by_name["exam/exam_off", "anatomy", "test"]
    assert (off.reason, off.detail) == ("switched off", "its rows are evaluated on")
    assert splits_by_name["hle", "default", "test"].reason == "left out by name"
    assert splits_by_name["gpqa", "gpqa_main", "train"].reason == "not hashed"


def test_a_split_that_the_catalog_named_after_the_others_were_hashed_is_not_forgotten(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "store")
    hashed(store, "quiz", "quiz", ("org/quiz", "main", "validation", 7, ""))
    hashed(store, PROTECTED, "arc", ("allenai/ai2_arc", "ARC-Easy", "test", 7, ""))

    splits_by_name = account(tmp_path)

    assert splits_by_name["quiz/quiz", "main", "test"].reason == "not hashed"
    assert splits_by_name["arc", "ARC-Easy", "test"].compared
    assert splits_by_name["arc", "ARC-Challenge", "test"].reason == "not hashed"


def test_hashes_from_another_seed_source_do_not_count_as_compared(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    hashed(store, "quiz", "quiz", ("org/quiz", "main", "test", 2, ""))
    catalog = load_catalog(write_catalog(tmp_path / "catalog", {}), allow_canary=())

    (split,) = (s for s in coverage(store, catalog, [], "samples") if s.collection == "quiz/quiz")

    assert (split.reason, split.rows) == ("not hashed", 0)


def test_a_task_that_is_off_is_compared_as_a_benchmark_of_the_same_split(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    hashed(store, PROTECTED, "mmlu", ("cais/mmlu", "anatomy", "test", 135, ""))

    off = account(tmp_path)["exam/exam_off", "anatomy", "test"]

    assert (off.compared, off.rows, off.detail) == (True, 135, "as mmlu")


def test_every_split_of_the_catalog_and_of_every_benchmark_is_accounted_for(
    tmp_path: Path,
) -> None:
    catalog = cached_catalog()

    splits = coverage(Store(tmp_path), catalog, ["all"], "hub")

    named = {(s.collection, s.split) for s in splits}
    for task in catalog.tasks.values():
        for key in task.subtasks:
            for split in task.resolve(key).heldout_splits:
                assert (f"{task.task}/{key}", split) in named
    for benchmark in load_protected():
        for split in benchmark.splits:
            assert (benchmark.name, split) in named
    groups = not_compared(splits)
    assert sum(map(len, groups.values())) == len(splits), "nothing is hashed"
    assert set(groups) == {"switched off", "not hashed", "left out by name"}
    assert all(split.detail for group in groups.values() for split in group)


@pytest.mark.parametrize("without", ["hle", "all"])
def test_a_benchmark_that_was_left_out_by_name_says_so(tmp_path: Path, without: str) -> None:
    assert account(tmp_path, without)["hle", "default", "test"].reason == "left out by name"
