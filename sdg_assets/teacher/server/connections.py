"""The HTTP connections to a server.

With aiohttp, because a request costs 0.24 ms with 1,024 under way. httpx takes 23 ms: its pool
looks at every connection for every request.
"""

from __future__ import annotations

import socket
import ssl
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    import aiohttp

CONNECT_SECONDS = 10.0
# vLLM's HTTP server closes a connection that was idle for 5 s. A request that meets the closing
# would fail.
IDLE_SECONDS = 4.0
# A host that vanishes sends no reset: probes find out in a minute.
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


def connected(url: str, authorization: str) -> aiohttp.ClientSession:
    """The pool of connections to a server; opens none yet. Call it inside the event loop.

    Args:
        url: The server's address, which decides on the proxy.
        authorization: The value of the header `Authorization`; empty: none.
    """
    import aiohttp

    headers = {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    return aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(
            limit=0, keepalive_timeout=IDLE_SECONDS, ssl=_trust(), socket_factory=_socket
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        # `trust_env` would read the environment and ~/.netrc again for every request.
        proxy=_proxy(url),
    )


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for an address (`HTTP_PROXY`, `NO_PROXY`)."""
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme.lower())


def _socket(address: Any) -> socket.socket:  # noqa: ANN401 – an address of `socket.getaddrinfo`
    """A socket that notices when the other host has vanished."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # macOS lacks the first
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


@cache
def _trust() -> ssl.SSLContext:
    """The certificates that servers are checked against, cached: reading them takes 50 ms.

    The system's and Mozilla's: a slim container image has none of its own.
    """
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
