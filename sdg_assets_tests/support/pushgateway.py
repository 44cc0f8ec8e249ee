"""A receiver of pushed metrics: a web server that keeps what Prometheus clients send to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client.parser import text_string_to_metric_families

Values = dict[str, float]
"""A metric with its labels, as `name{label="value"}` → value."""


@dataclass(frozen=True)
class Push:
    """One push: its grouping key as a path, its credentials, and its values."""

    path: str
    authorization: str | None
    values: Values


@dataclass
class Gateway:
    """What was received."""

    url: str = ""
    status: int = 200
    pushes: list[Push] = field(default_factory=list)

    def last(self, path: str) -> Values:
        """The values that the last push left under a grouping key."""
        return [push.values for push in self.pushes if push.path == path][-1]


@contextmanager
def pushgateway() -> Iterator[Gateway]:
    """Serves one on a free port of this machine."""
    gateway = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            push = Push(self.path, self.headers["Authorization"], values_in(text))
            gateway.pushes.append(push)
            self.send_response(gateway.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        gateway.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield gateway
        finally:
            server.shutdown()


def values_in(text: str) -> Values:
    """The values in Prometheus' text format; raises if it is not valid."""
    return {
        f"{sample.name}{{{','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))}}}": (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(values: Values, name: str, **labels: str) -> float:
    """The sum of a metric over all series that have these labels."""
    parts = [f"{label}={value}" for label, value in labels.items()]
    return sum(
        value
        for series, value in values.items()
        if series.startswith(f"{name}{{") and all(part in series for part in parts)
    )
