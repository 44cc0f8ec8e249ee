"""Time limits for every call to the Hugging Face Hub, whoever makes it.

`huggingface_hub` and `datasets` make many calls without one: a Hub, or a proxy before it, that
accepts a connection and says nothing held a step, and its pool, for ever.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

LIMITS = {"connect": 10.0, "read": 60.0, "write": 60.0, "pool": 60.0}
"""Seconds to connect, between two pieces of an answer, between two of what is sent, and until a
connection is free."""


@cache
def limit_hub_calls() -> None:
    """Gives every later call of this process that has no time limit one."""
    import huggingface_hub

    huggingface_hub.set_client_factory(_limited_client)


def _limited_client() -> httpx2.Client:
    # The library's own client: with its hooks for offline mode and request ids.
    from huggingface_hub.utils._http import default_client_factory

    client: httpx2.Client = default_client_factory()
    client.event_hooks["request"].append(_limit)
    return client


def _limit(request: httpx2.Request) -> None:
    """Fills in the limits that a caller switched off, which a client's default would not."""
    own = request.extensions.get("timeout") or {}
    request.extensions["timeout"] = {
        name: limit if own.get(name) is None else own[name] for name, limit in LIMITS.items()
    }
