from __future__ import annotations

import re
from base64 import b64decode
from xml.etree import ElementTree

from sdg_assets.assets.pictures import BAR, funnel_markdown, funnel_svg

STAGES = [("seeds", 200, 0), ("generated", 150, 50), ("filtered", 30, 120)]


def test_bars_are_as_long_as_their_rows_on_one_scale() -> None:
    picture = ElementTree.fromstring(funnel_svg(STAGES))

    bars = [int(r.get("width", 0)) for r in picture.iter("{http://www.w3.org/2000/svg}rect")][1:]

    assert bars == [BAR, 0, BAR * 3 // 4, BAR // 4, BAR * 30 // 200, BAR * 120 // 200]


def test_a_bar_says_its_numbers() -> None:
    texts = re.findall(r">([^<]+)</text>", funnel_svg([*STAGES, ("<x>", 12345, 0)]))

    assert texts[:4] == ["seeds", "200", "generated", "150, 50 refused"]
    assert texts[-2:] == ["&lt;x&gt;", "12,345"]


def test_nothing_at_all_is_a_picture_too() -> None:
    assert ElementTree.fromstring(funnel_svg([("seeds", 0, 0)])).tag.endswith("svg")


def test_markdown_holds_the_picture_itself() -> None:
    match = re.fullmatch(r"!\[.+\]\(data:image/svg\+xml;base64,(.+)\)", funnel_markdown(STAGES))

    assert match
    assert b64decode(match[1]).decode() == funnel_svg(STAGES)
