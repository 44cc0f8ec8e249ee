"""The same pages over a store in a bucket."""

from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from sdg_assets.browse.app import application
from sdg_assets.store.notes import notes_of
from sdg_assets.store.partitions import Store
from sdg_assets_tests.browse.library import fill, seeds
from sdg_assets_tests.browse.test_pages import FILTERED, text_of


def test_rows_and_notes_lie_in_the_bucket(bucket: str, tmp_path: Path) -> None:
    store = Store(bucket)
    fill(store.root)
    with TestClient(
        application(store, tmp_path / "indexes", patience=None), "http://127.0.0.1"
    ) as pages:
        start = text_of(pages, "/")
        assert "80 %" in start
        assert "org/small" in start
        assert "<strong>4</strong> of 24" in text_of(pages, f"{FILTERED}?state=refused")
        for why in ("first", "second"):
            form = {"reviewer": "ann", "verdict": "good", "why": why}
            page = pages.post(f"{FILTERED}/rows/20/notes", data=form).text

    assert "The answer is 41." in page
    assert seeds()[1].question in page
    assert [note.why for note in notes_of(store, "gsm8k", "gsm8k")] == ["first", "second"]
