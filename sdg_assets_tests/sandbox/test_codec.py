from __future__ import annotations

import json
import math

import pytest

from sdg_assets.sandbox import codec

VALUES: list[object] = [
    None, True, 0, -(10**40), 1.5, 1e300, "", "ä\ud800\"\\\n", [], {}, [[1], {"a": [None]}, "x"],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_it_writes_and_reads_what_json_does(value: object) -> None:
    text = codec.dumps(value)

    assert text == json.dumps(value)
    assert codec.loads(text.encode()) == value
    assert codec.loads(json.dumps(value, indent=1).encode() + b"\n") == value


def test_it_needs_no_json_here() -> None:
    assert codec.dumps is not json.dumps


def test_numbers_that_are_none_cross() -> None:
    assert codec.loads(codec.dumps([math.inf, -math.inf]).encode()) == [math.inf, -math.inf]
    assert math.isnan(codec.loads(codec.dumps(math.nan).encode()))


@pytest.mark.parametrize("text", ["", "[", "[1] 2", "nul", "{'a': 1}", "\xff", '"a'])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - as `json` has it
        codec.loads(text.encode("latin-1"))


def test_what_json_cannot_write_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="set is not JSON"):
        codec.dumps([{1}])
