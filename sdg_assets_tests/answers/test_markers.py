"""The words that spare a text the patterns of most languages never hide an announcement."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdg_assets.answers.markers import AFTER, BEFORE, HEADING, Marker

LANGUAGES = [
    (marker, language) for marker in (BEFORE, HEADING, AFTER) for language in marker.patterns
]


@pytest.mark.parametrize(("marker", "language"), LANGUAGES)
@settings(max_examples=20)
@given(data=st.data())
def test_whatever_a_languages_pattern_matches_is_found(
    marker: Marker, language: str, data: st.DataObject
) -> None:
    pattern = re.compile(marker.patterns[language], re.IGNORECASE | re.MULTILINE)
    text = data.draw(st.from_regex(pattern))
    assert marker.is_in(text)


@pytest.mark.parametrize("marker", [BEFORE, HEADING, AFTER])
def test_every_pattern_has_its_words(marker: Marker) -> None:
    assert marker.words.keys() == marker.patterns.keys()
    assert all(marker.words.values())


@pytest.mark.parametrize(
    "text",
    ["Plants need light.", "Die Pflanze wächst.", "光合作用需要光。", "식물은 빛이 필요하다."],
)
def test_a_text_that_announces_nothing_has_no_match(text: str) -> None:
    assert not BEFORE.is_in(text)
    assert not AFTER.is_in(text)
