"""`sdg browse`: pages over the store, for people to look at rows."""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
import sys
from typing import Annotated

import typer

from sdg_assets.cli import terminal
from sdg_assets.errors import PermanentError

HOST, PORT = "127.0.0.1", 3080


def browse(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")] = PORT,
    anyone: Annotated[
        bool,
        typer.Option(
            "--anyone",
            help="Required with a host that other machines reach: everybody who does can read "
            "every row and attach notes, without a login.",
        ),
    ] = False,
) -> int:
    """Look at the rows of the store (SDG_STORE) and of its releases in the browser.

    Filters, search, one row with its votes, seeds and completions, two teachers side by side, and
    export. Nothing is written but notes on rows. The first opening of a partition reads it once;
    what is kept of it lies in the cache (SDG_CACHE) and may be deleted. Ctrl-C ends it.
    """
    if not importlib.util.find_spec("starlette") or not importlib.util.find_spec("uvicorn"):
        raise PermanentError("browse: install the extra, pip install 'sdg-assets[browse]'")
    if not is_loopback(host) and not anyone:
        raise PermanentError(
            f"browse: {host} is reached by other machines, and the pages ask for no login: put a "
            "proxy with one in front, or add --anyone"
        )
    import uvicorn

    from sdg_assets.browse.app import LOOPBACK, application, host_of
    from sdg_assets.environment import cache_directory
    from sdg_assets.settings import settings
    from sdg_assets.store.partitions import Store

    url = settings().browse_url
    hosts = [*LOOPBACK, host, *([host_of(url)] if url else [])]
    if not is_loopback(host) and not url:
        hosts = ["*"]  # by which name the others reach it is unknown
    app = application(Store(settings().store), cache_directory("browse"), hosts)
    with _listening(host, port) as listening:
        bound = listening.getsockname()[1]
        terminal.write(f"http://{host if ':' not in host else f'[{host}]'}:{bound}")
        terminal.note(f"shows {settings().store}; Ctrl-C ends it")
        sys.stdout.flush()
        # Without a log_config of its own, uvicorn leaves the process's logging as it is.
        config = uvicorn.Config(app, log_level="warning", log_config=None, server_header=False)
        uvicorn.Server(config).run([listening])
    return 0


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens, before the address is printed.

    Raises:
        PermanentError: The address is in use, or is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        cause = error.strerror or str(error)
        raise PermanentError(
            f"browse: cannot listen at {host}, port {port} ({cause}); choose another --port"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
