from __future__ import annotations

from typing import Any

import pytest

from sdg_assets.gates import schema
from sdg_assets.records import AnswerKind
from sdg_assets_tests.support.records import example, numeric


def test_a_well_formed_row_passes() -> None:
    assert schema.refusal_of(example()) is None
    assert schema.refusal_of(numeric()) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"question": " \n"}, "empty question"),
        ({"answer": " "}, "empty answer"),
        ({"choices": ["Paris"]}, "fewer than two choices"),
        ({"choices": ["Paris", "Paris"]}, "repeated choices"),
        ({"answer_index": None}, "answer index outside the choices"),
        ({"answer_index": 4, "answer": "Paris"}, "answer index outside the choices"),
        ({"answer_index": -1, "answer": "Lisbon"}, "answer index outside the choices"),
        ({"answer_index": 1, "answer": "Paris"}, "answer is not its choice"),
    ],
)
def test_parts_must_be_present_and_agree(changes: dict[str, Any], reason: str) -> None:
    refusal = schema.refusal_of(example(**{"answer": "Paris", **changes}))

    assert refusal
    assert (refusal.gate, refusal.reason) == ("schema", reason)


def test_a_program_needs_tests() -> None:
    row = example(answer_kind=AnswerKind.CODE, question="Write f.", answer="def f(): pass")
    refusal = schema.refusal_of(row)

    assert refusal
    assert refusal.reason == "no tests"
