from __future__ import annotations

import re
from base64 import b64decode
from xml.etree import ElementTree

from sdg_assets.assets.pictures import BAR, funnel_markdown, funnel_svg

STAGES = [("seeds", 200, 0), ("generated", 150, 50), ("filtered", 30, 120)]
SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_long_as_their_rows_on_one_scale() -> None:
    paths = ElementTree.fromstring(funnel_svg(STAGES)).iter(f"{SVG}path")
    _, kept, lost = (path.get("d") for path in paths)

    assert kept == f"M0 26h{BAR}M0 66h{BAR * 3 // 4}M0 106h{BAR * 30 // 200}"
    assert lost == f"M{BAR * 3 // 4} 66h{BAR // 4}M{BAR * 30 // 200} 106h{BAR * 120 // 200}"


def test_a_bar_says_its_numbers() -> None:
    texts = re.findall(r">([^<]+)</text>", funnel_svg([*STAGES, ("<x>", 12345, 0)]))

    assert texts == [
        "seeds 200", "generated 150, 50 refused", "filtered 30, 120 refused", "&lt;x&gt; 12,345"
    ]  # fmt: skip


def test_a_bar_says_how_its_rows_have_changed() -> None:
    before = {"seeds": 200, "filtered": 1267}
    texts = re.findall(r">([^<]+)</text>", funnel_svg(STAGES, before))

    assert texts == [
        "seeds 200 (+0)", "generated 150, 50 refused", "filtered 30 (-1,237), 120 refused"
    ]  # fmt: skip


def test_nothing_at_all_is_a_picture_too() -> None:
    assert ElementTree.fromstring(funnel_svg([("seeds", 0, 0)])).tag.endswith("svg")


def test_markdown_holds_the_picture_itself() -> None:
    match = re.fullmatch(r"!\[funnel\]\(data:image/svg\+xml;base64,(.+)\)", funnel_markdown(STAGES))

    assert match
    assert b64decode(match[1]).decode() == funnel_svg(STAGES)


def test_the_picture_of_a_large_partition_is_small_enough_to_be_shown_in_its_place() -> None:
    stages = ("seeds", "normalized", "generated", "enriched", "filtered")

    counts = [(stage, 123_456, 123_456) for stage in stages]
    assert len(funnel_markdown(counts, dict.fromkeys(stages, 1_123_456))) < 1000
