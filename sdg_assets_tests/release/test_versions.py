"""Versions and changelogs of releases that follow each other in one store."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.errors import StoreError
from sdg_assets.records import CuratedExample, TeacherStamp, content_id
from sdg_assets.release import Cut, write_release
from sdg_assets.release.versions import raised
from sdg_assets_tests.release.test_release import contents
from sdg_assets_tests.release.test_statistics import row

NEW_WRITER = TeacherStamp(model="org/new", revision="r1", license="MIT")


def _asked(question: str, **changes: object) -> CuratedExample:
    return row(question, **{"id": content_id(question), **changes})


LAKE, SEA, HILL = (_asked(f"Which {name}?") for name in ("lake", "sea", "hill"))


def _cut(root: Path, *rows: CuratedExample, catalog: str = "") -> Path:
    return write_release(root, Cut({"quiz/filtered/quiz": "aa"}, catalog=catalog), rows).path


def _manifest(release: Path) -> dict[str, Any]:
    return dict(json.loads((release / "manifest.json").read_text("utf-8")))


def _rewritten(release: Path, **fields: Any) -> None:
    """Another program's release: its manifest says other things."""
    manifest = _manifest(release) | fields
    kept = {name: value for name, value in manifest.items() if value is not None}
    (release / "manifest.json").write_text(json.dumps(kept), "utf-8")


def test_the_first_release_is_1_0_0_and_says_so_everywhere(tmp_path: Path) -> None:
    release = _cut(tmp_path, LAKE)

    assert _manifest(release)["version"] == "1.0.0"
    card = (release / "README.md").read_text("utf-8")
    assert f"Version 1.0.0, release `{release.name}`" in card
    assert "The first release of its store." in card
    croissant = json.loads((release / "croissant.json").read_text("utf-8"))
    assert croissant["version"] == f"1.0.0+{release.name}"
    assert f"Release `{release.name}`, version 1.0.0" in (release / "SOURCES.md").read_text("utf-8")


def test_other_rows_are_a_minor_version_and_the_card_counts_them(tmp_path: Path) -> None:
    first = _cut(tmp_path, LAKE, SEA)
    second = _cut(tmp_path, LAKE.model_copy(update={"license": "CC0-1.0"}), HILL)

    manifest = _manifest(second)
    assert manifest["version"] == "1.1.0"
    changes = manifest["changes"]
    assert (changes["level"], changes["previous"]) == ("minor", first.name)
    assert changes["reasons"] == ["1 rows added", "1 rows changed", "1 rows gone"]
    assert {(c["change"], c["reason"], c["rows"]) for c in changes["rows"]} == {
        ("added", "not there before", 1),
        ("changed", "licence", 1),
        ("gone", "refused before the release", 1),
    }
    card = (second / "README.md").read_text("utf-8")
    assert f"Version 1.1.0 follows 1.0.0 (release `{first.name}`)." in card
    assert "| quiz | changed | 1 | licence |" in card
    assert f"| 1.1.0 | `{second.name}` | 2 | 1 | 1 | 1 |" in card
    assert f"| 1.0.0 | `{first.name}` | 2 | 0 | 0 | 0 |" in card


def test_a_new_writer_is_named_as_the_reason(tmp_path: Path) -> None:
    _cut(tmp_path, LAKE)
    second = _cut(tmp_path, _asked("Which bay?", teacher=NEW_WRITER))

    card = (second / "README.md").read_text("utf-8")
    assert "| quiz | gone | 1 | another writer now: org/new r1 |" in card
    assert "| rows by teacher | writer org/new r1 | – | 1 |" in card


def test_the_same_rows_described_anew_are_a_patch_version(tmp_path: Path) -> None:
    _cut(tmp_path, LAKE)
    second = _cut(tmp_path, LAKE, catalog="another")

    assert _manifest(second)["version"] == "1.0.1"
    assert _manifest(second)["changes"]["reasons"] == ["the same rows, described anew"]
    assert "| made by | catalog | – | another |" in (second / "README.md").read_text("utf-8")


def test_a_column_or_configuration_that_goes_is_a_major_version(tmp_path: Path) -> None:
    first = _cut(tmp_path, LAKE)
    schema = _manifest(first)["schema"]
    old = schema["columns"] | {"difficulty": "Int64", "question": "Int64"}
    configs = [*schema["configs"], "generative"]
    _rewritten(first, schema={"columns": old, "configs": configs})

    manifest = _manifest(_cut(tmp_path, LAKE, SEA))

    assert manifest["version"] == "2.0.0"
    assert manifest["changes"]["reasons"] == [
        "configuration generative is gone",
        "column difficulty is gone",
        "column question is String and was Int64",
        "1 rows added",
    ]


def test_a_new_column_is_a_minor_version_and_not_a_change_of_each_row(tmp_path: Path) -> None:
    first = _cut(tmp_path, LAKE)
    schema = _manifest(first)["schema"]
    del schema["columns"]["topic"]
    _rewritten(first, schema=schema)

    manifest = _manifest(_cut(tmp_path, LAKE, catalog="another"))

    assert manifest["version"] == "1.1.0"
    assert manifest["changes"]["reasons"] == ["new column topic"]


def test_a_release_of_a_program_without_versions_counts_as_0_0_0(tmp_path: Path) -> None:
    _rewritten(_cut(tmp_path, LAKE), version=None, schema=None, changes=None)

    assert _manifest(_cut(tmp_path, LAKE, SEA))["version"] == "1.0.0"


def test_no_two_releases_of_a_store_share_a_version(tmp_path: Path) -> None:
    first, second = _cut(tmp_path, LAKE), _cut(tmp_path, LAKE, SEA)
    again = _cut(tmp_path, LAKE)
    assert again == first, "the rows of the first release, which is the latest once more"
    third = _cut(tmp_path, LAKE, HILL)

    versions = [_manifest(release)["version"] for release in (first, second, third)]
    assert versions == ["1.0.0", "1.1.0", "1.2.0"]
    assert _manifest(third)["changes"]["previous"] == first.name


def test_a_damaged_release_is_mended_with_its_version(tmp_path: Path) -> None:
    _cut(tmp_path, LAKE)
    second = _cut(tmp_path, LAKE, SEA)
    before = contents(second)
    shutil.rmtree(second / "pictures")

    assert contents(_cut(tmp_path, LAKE, SEA)) == before


def test_a_corrupt_manifest_of_an_earlier_release_is_named(tmp_path: Path) -> None:
    (_cut(tmp_path, LAKE) / "manifest.json").write_text("{")

    with pytest.raises(StoreError, match=r"manifest\.json: is not JSON"):
        _cut(tmp_path, SEA)


def test_levels_raise_their_own_number() -> None:
    assert [raised((1, 2, 3), level) for level in ("major", "minor", "patch")] == [
        "2.0.0",
        "1.3.0",
        "1.2.4",
    ]
