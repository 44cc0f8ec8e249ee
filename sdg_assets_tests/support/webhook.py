"""A receiver of alerts: a web server that keeps what is posted to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Webhook:
    """What was received, and whether it may be."""

    address: str = ""
    """As apprise names it: json://host:port/path."""
    status: int = 200
    messages: list[dict[str, str]] = field(default_factory=list)
    """The posted objects, with `title`, `message` and `type`."""


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Serves one on a free port of this machine."""
    received = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if received.status == 200:
                received.messages.append(json.loads(content))
            self.send_response(received.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.address = f"json://127.0.0.1:{server.server_port}/alerts"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
