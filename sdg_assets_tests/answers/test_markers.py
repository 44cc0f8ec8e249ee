"""The words that spare a text the patterns of most languages never hide an announcement."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdg_assets.answers.markers import AFTER, BEFORE, CORRECTING, HEADING, Marker

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


@pytest.mark.parametrize(
    "text",
    [
        "It is iron. Wait, it rusts.",
        "It is iron... no, wait, it is copper.",
        "It is iron, no wait, it is copper.",
        "It is iron.\nWait – it rusts.",
        "It is iron. But wait! It rusts.",
        "It is iron. Wait a minute, it rusts.",
        "It is iron. Wait, no. It rusts.",
        "It is iron. Wait that's wrong.",
        "It is iron. Wait I forgot copper.",
        "It is iron. Hold on. It rusts.",
        "It is iron. Well, actually, it is copper.",
        "It is iron. Actually it is copper.",
        "It is iron.\nCorrection: it is copper.",
        "It is iron. On second thought it is copper.",
        "It is iron — scratch that, copper.",
        "It is iron, wait, it is copper.",
        "It is iron, actually 13.",
    ],
)
def test_a_pause_or_a_new_thought_makes_a_word_a_correction(text: str) -> None:
    (correction,) = CORRECTING.finditer(text)
    assert text[: correction.start()].startswith("It is iron")
    assert text[correction.end() :].strip()


@pytest.mark.parametrize(
    "text",
    [
        "Call 911.\nWait for help.",
        "Stay calm, wait, and call for help.",
        "Call 911.\n- Hold on to the rope.",
        "Copper, actually, conducts best.",
        "Take one, wait 6 hours, take another.",
        "A wait-and-see policy.\nWait-and-see is best.",
        "Actually used in 1902.",
        "Correction of errors.",
        "Wait until it rains. Wait at home.",
        "Answer:\nWait.",
    ],
)
def test_the_same_words_within_a_sentence_correct_nothing(text: str) -> None:
    assert not CORRECTING.is_in(text)
