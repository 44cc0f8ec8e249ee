"""Time limits for every call to the Hugging Face Hub, from any library.

`huggingface_hub` and `datasets` make many calls without a time limit. A Hub (or a proxy) that
accepted a connection and never answered blocked a step, and its pool, for ever.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

LIMITS = {"connect": 10.0, "read": 60.0, "write": 60.0, "pool": 60.0}
"""Seconds to connect, between two received chunks, between two sent chunks, and to wait for a free
connection."""


@cache
def limit_hub_calls() -> None:
    """Gives a time limit to every later call of this process that has none."""
    import huggingface_hub

    huggingface_hub.set_client_factory(_limited_client)


def _limited_client() -> httpx2.Client:
    # The library's own client, which keeps its hooks for offline mode and request ids.
    from huggingface_hub.utils._http import default_client_factory

    client: httpx2.Client = default_client_factory()
    client.event_hooks["request"].append(_limit)
    return client


def _limit(request: httpx2.Request) -> None:
    """Sets the limits that the caller disabled; a client's default does not replace those."""
    own = request.extensions.get("timeout") or {}
    request.extensions["timeout"] = {
        name: limit if own.get(name) is None else own[name] for name, limit in LIMITS.items()
    }
