from __future__ import annotations

from sdg_assets.catalog import cached_catalog
from sdg_assets.cli.options import selected


def test_a_subtask_that_is_named_twice_is_selected_once() -> None:
    specs = selected(cached_catalog(), ["arc/arc_easy", "arc", "arc/arc_easy"])

    assert [spec.key for spec in specs] == ["arc_easy", "arc_challenge"]
