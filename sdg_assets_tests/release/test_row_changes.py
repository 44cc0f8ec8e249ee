from __future__ import annotations

from pathlib import Path

from sdg_assets.records import CuratedExample, Rejection, TeacherStamp, content_id
from sdg_assets.release import Cut, write_release
from sdg_assets.release.row_changes import RowChange, row_changes
from sdg_assets_tests.release.test_statistics import row

NEW_WRITER = TeacherStamp(model="org/new", revision="r1", license="MIT")


def _release(root: Path, *rows: CuratedExample | Rejection) -> Path:
    return write_release(root, Cut({"quiz/filtered/quiz": root.name}), rows).path


def _asked(question: str, **changes: object) -> CuratedExample:
    return row(question, **{"id": content_id(question), **changes})


def test_rows_are_counted_by_what_happened_to_them(tmp_path: Path) -> None:
    same, refused, left = (_asked(f"Which {name}?") for name in ("river", "lake", "sea"))
    replaced = _asked("Which hill?", subtask="hills")
    before = _release(tmp_path / "a", same, refused, replaced, left)
    after = _release(
        tmp_path / "b",
        same.model_copy(update={"license": "CC-BY-4.0"}),
        Rejection(gate="duplicates", reason="near duplicate", row=refused.model_dump(mode="json")),
        _asked("Which mountain?", subtask="hills", teacher=NEW_WRITER),
        _asked("Which island?", subtask="islands"),
    )

    assert row_changes(before, after) == [
        RowChange("quiz", "added", "another writer before: org/teacher r1", 1),
        RowChange("quiz", "added", "new subtask", 1),
        RowChange("quiz", "changed", "licence", 1),
        RowChange("quiz", "gone", "another writer now: org/new r1", 1),
        RowChange("quiz", "gone", "duplicates: near duplicate", 1),
        RowChange("quiz", "gone", "refused before the release", 1),
    ]


def test_equal_releases_have_no_changed_row(tmp_path: Path) -> None:
    first, second = (_release(tmp_path / name, _asked("Which river?")) for name in ("a", "b"))
    assert row_changes(first, second) == []
