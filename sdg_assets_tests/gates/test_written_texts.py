from __future__ import annotations

from sdg_assets.gates import text_gates, text_refusals
from sdg_assets.thresholds import DEFAULTS
from sdg_assets_tests.support.records import example

GATES = text_gates(DEFAULTS)
ENGLISH = "The lungs pass oxygen to the blood, which carries it to every part of the body."
GERMAN = "Die Lunge gibt den Sauerstoff an das Blut ab, das ihn in jeden Teil des Körpers trägt."


def test_a_text_that_was_written_for_a_row_is_tested_like_a_context() -> None:
    row = example()

    refused = text_refusals(
        [(row, ENGLISH), (row, "As an AI model, I cannot say."), (row, GERMAN)], GATES
    )

    reasons = {place: (refusal.gate, refusal.reason) for place, refusal in refused.items()}
    assert reasons == {
        1: ("format", "prompt debris"),
        2: ("language", "context in another language"),
    }
    assert refused[1].detail.startswith("context: ")


def test_a_text_is_not_refused_for_the_faults_of_its_row() -> None:
    row = example(question="Short? \ufffd")

    assert text_refusals([(row, ENGLISH)], GATES) == {}


def test_a_text_may_be_too_long() -> None:
    (refusal,) = text_refusals([(example(), "The sky is blue at noon. " * 2000)], GATES).values()

    assert refusal.reason == "context length"
