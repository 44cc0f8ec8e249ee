"""The page on records is the one that the models write."""

from __future__ import annotations

from pathlib import Path

from sdg_assets.cli.records import page

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_on_records_is_current() -> None:
    written = (DOCS / "records.md").read_text("utf-8")
    assert written == page(), "run `sdg records > docs/records.md`"
