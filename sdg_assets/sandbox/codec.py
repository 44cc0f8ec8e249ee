"""JSON without the module `json`, whose import (of `re` and `enum`) costs every sandbox 9 ms.

Child side: runs inside the sandbox, with only the standard library. The accelerator `_json` does
the work of `json`; this module calls it the same way. If the interpreter has another accelerator,
or none, `json` itself is used.
"""
# JSON is anything.
# ruff: noqa: ANN401

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` would cost every sandbox 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CONSTANTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_SAMPLE = ["ä\n", -1, 1.5, True, None, {"key": [float("inf")]}]


class _Context:
    """The settings of a decoder, as `json.decoder.JSONDecoder` has them."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = _CONSTANTS.__getitem__


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is not JSON")


def _accelerated() -> tuple[Callable[[Any], str], Callable[[bytes], Any]]:
    import _json

    markers: dict[int, Any] = {}
    options = (None, ": ", ", ", False, False, True)
    encode = _json.make_encoder(markers, _refuse, _json.encode_basestring_ascii, *options)
    scan = _json.make_scanner(_Context)  # type: ignore[arg-type]

    def dumps(value: Any) -> str:
        markers.clear()
        return "".join(encode(value, 0))

    def loads(data: bytes) -> Any:
        text = data.decode()
        try:
            value, end = scan(text, 0)
        except StopIteration:
            raise ValueError("not JSON") from None
        if text[end:].strip():
            raise ValueError("more than one value")
        return value

    if loads(dumps(_SAMPLE).encode()) != _SAMPLE:
        raise ValueError("another accelerator")
    return dumps, loads


def _available() -> tuple[Callable[[Any], str], Callable[[bytes], Any]]:
    try:
        return _accelerated()
    except (ImportError, AttributeError, TypeError, ValueError):
        import json

        return json.dumps, json.loads


dumps, loads = _available()
