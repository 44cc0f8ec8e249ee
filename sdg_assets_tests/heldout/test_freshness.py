"""Hashes count only for the seed source that they were made from, in the state that it has now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.heldout import freshness
from sdg_assets.heldout.freshness import SourceInUse
from sdg_assets.heldout.protection import heldout_key, is_hashed
from sdg_assets.heldout.publication import heldout_rows, publish_hashes
from sdg_assets.sources.source import open_source
from sdg_assets.store.partitions import Store
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.heldout import FILLERS


def mirror(root: Path, questions: Sequence[str], split: str = "test") -> str:
    """A mirror with one split of org/quiz; returns its setting."""
    folder = root / "org" / "quiz" / "main"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"question": q, "choices": ["yes", "no"], "label": 0} for q in questions]
    (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return f"mirror:{root}"


def hash_from(store: Store, spec: SubtaskSpec, setting: str) -> None:
    publish_hashes(
        store, heldout_key("quiz", "quiz"), heldout_rows(spec, open_source(setting)), setting
    )


@pytest.fixture
def spec() -> SubtaskSpec:
    return seed_task().resolve("quiz")


def test_hashes_from_a_small_mirror_are_none_for_the_whole_one(
    spec: SubtaskSpec, store: Store, tmp_path: Path
) -> None:
    small = mirror(tmp_path / "small", FILLERS[:2])
    whole = mirror(tmp_path / "whole", FILLERS)

    hash_from(store, spec, small)

    assert is_hashed(store, spec, small)
    assert not is_hashed(store, spec, whole)
    assert not is_hashed(store, spec, "hub")


def test_a_mirror_that_grew_under_its_name_is_hashed_again(
    spec: SubtaskSpec, store: Store, tmp_path: Path
) -> None:
    setting = mirror(tmp_path, FILLERS[:2])
    hash_from(store, spec, setting)

    mirror(tmp_path, FILLERS)
    assert not is_hashed(store, spec, setting)

    hash_from(store, spec, setting)
    assert is_hashed(store, spec, setting)


def test_a_split_that_a_mirror_lacked_and_got_is_hashed(
    spec: SubtaskSpec, store: Store, tmp_path: Path
) -> None:
    setting = mirror(tmp_path, FILLERS, "train")
    hash_from(store, spec, setting)
    assert is_hashed(store, spec, setting), "the source does not have it"

    mirror(tmp_path, FILLERS, "test")

    assert not is_hashed(store, spec, setting)


def test_a_held_out_split_that_the_catalog_names_later_is_hashed(
    spec: SubtaskSpec, store: Store, tmp_path: Path
) -> None:
    mirror(tmp_path, FILLERS, "validation")
    setting = mirror(tmp_path, FILLERS)
    hash_from(store, spec, setting)

    more = spec.model_copy(update={"heldout_splits": [*spec.heldout_splits, "validation"]})

    assert not is_hashed(store, more, setting)


def test_the_same_files_in_another_place_need_no_new_hashes(
    spec: SubtaskSpec, store: Store, tmp_path: Path
) -> None:
    hash_from(store, spec, mirror(tmp_path / "here", FILLERS))

    shutil.copytree(tmp_path / "here", tmp_path / "there")

    assert is_hashed(store, spec, f"mirror:{tmp_path / 'there'}")


def test_where_the_source_cannot_be_asked_its_name_decides(
    spec: SubtaskSpec, store: Store, tmp_path: Path
) -> None:
    setting = mirror(tmp_path / "mirror", FILLERS)
    hash_from(store, spec, setting)

    shutil.rmtree(tmp_path / "mirror")  # a pod without the volume

    assert is_hashed(store, spec, setting)
    assert not is_hashed(store, spec, f"mirror:{tmp_path / 'other'}")
    published = store.manifest(heldout_key("quiz", "quiz")).info
    assert SourceInUse("hub").made({**published, "source": "hub"}, spec)


def test_hashes_of_an_older_format_are_made_again(
    spec: SubtaskSpec, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = mirror(tmp_path, FILLERS)
    monkeypatch.setattr(freshness, "FORMAT", 1)
    hash_from(store, spec, setting)
    published = store.manifest(heldout_key("quiz", "quiz")).info
    assert is_hashed(store, spec, setting)
    monkeypatch.undo()

    assert not is_hashed(store, spec, setting)
    assert not freshness.is_of_this_format(published)
    assert not SourceInUse("hub").made({**published, "source": "hub"}, spec)
