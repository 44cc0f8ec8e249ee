from __future__ import annotations

import json
import math

import pytest

from sdg_assets.sandbox import codec

VALUES: list[object] = [
    None, True, 0, -(10**40), 1.5, 1e300, "", "ä\ud800\"\\\n", [], {}, [[1], {"a": [None]}, "x"],
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_it_writes_and_reads_the_same_as_json(value: object) -> None:
    text = codec.dumps(value)

    assert text == json.dumps(value)
    assert codec.loads(text.encode()) == value
    assert codec.loads(json.dumps(value, indent=1).encode() + b"\n") == value


def test_this_interpreter_does_not_need_the_module_json() -> None:
    assert codec.dumps is not json.dumps


def test_infinity_and_nan_survive_a_round_trip() -> None:
    assert codec.loads(codec.dumps([math.inf, -math.inf]).encode()) == [math.inf, -math.inf]
    assert math.isnan(codec.loads(codec.dumps(math.nan).encode()))


@pytest.mark.parametrize("text", ["", "[", "[1] 2", "nul", "{'a': 1}", "\xff", '"a'])
def test_invalid_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the same as `json`
        codec.loads(text.encode("latin-1"))


def test_a_value_that_json_cannot_write_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="set is not JSON"):
        codec.dumps([{1}])
