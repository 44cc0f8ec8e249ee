"""Cursors of the sensors, compressed.

Dagster stores the cursor with every tick and keeps ticks for days. The requests for 741 stale
partitions are 46 KB as JSON, 130 MB a day at a tick every 30 seconds, and 12 KB compressed.
"""

import json
import zlib
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Mapping
from typing import Any


def packed(content: Mapping[str, Any]) -> str:
    """The cursor of a JSON object; empty for an empty object."""
    if not content:
        return ""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(cursor: str | None) -> dict[str, Any]:
    """The JSON object of a cursor.

    Returns:
        The object. It is empty for an empty cursor, and for one that `packed` has not written, such
        as a text that a person typed: the sensor then starts to count anew.
    """
    try:
        content = json.loads(zlib.decompress(b64decode(cursor or "", validate=True)))
    except (Error, zlib.error, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
