"""A server that answers the next request with any bytes."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

GOOD: dict[str, Any] = {
    "choices": [{"message": {"content": "red"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1},
}
MODELS: dict[str, Any] = {"data": [{"id": "org/model", "max_model_len": 8192}]}
CHAT, HEALTH, LISTED = "/v1/chat/completions", "/health", "/v1/models"


def http(body: bytes | str, status: str = "200 OK", **headers: str) -> bytes:
    """A complete HTTP answer."""
    data = body.encode() if isinstance(body, str) else body
    lines = {"Content-Length": str(len(data)), "Connection": "close", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + data


def reply(body: object, status: str = "200 OK", **headers: str) -> bytes:
    """A complete answer with a JSON body."""
    return http(json.dumps(body), status, Content_Type="application/json", **headers)


def zipped(body: object) -> bytes:
    """A complete answer, compressed."""
    return http(gzip.compress(json.dumps(body).encode()), Content_Encoding="gzip")


def but(**changes: Any) -> dict[str, Any]:
    """A good answer with parts changed; None removes a part, `Null` sends `null`."""
    changed = {**GOOD, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def choice(**changes: Any) -> dict[str, Any]:
    """A good answer with another choice."""
    return {**GOOD, "choices": [{**GOOD["choices"][0], **changes}]}


class OddServer(TeacherServer):
    """Answers each path from a list of answers, then with good ones."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, list[bytes]] = {}
        """Path → the next answers; if `stubborn`, the last one repeats for ever."""
        self.stubborn = False
        self.drip_seconds: float | None = None
        """Seconds between two bytes of an answer that never ends."""
        self.silent: set[str] = set()
        """Paths without any answer."""
        self.slow: dict[str, float] = {}
        """Path → seconds until it is answered."""
        self.dies_after: int | None = None
        """Number of requests after which the server stops listening."""
        self.heads: list[str] = []
        """Received request lines and headers."""
        self._times: list[float] = []

    def requests(self, path: str) -> int:
        """Number of requests for the path."""
        return len(self.times(path))

    def times(self, path: str) -> list[float]:
        """When requests for the path came, in seconds of the monotonic clock."""
        heads = zip(self.heads, self._times, strict=False)
        return [time for head, time in heads if f" {path} " in head.split("\r\n", 1)[0]]

    def answer(self, path: str) -> bytes:
        """The next answer at a path."""
        left = self.answers.get(path)
        if left:
            return left[0] if self.stubborn and len(left) == 1 else left.pop(0)
        return reply({HEALTH: {}, LISTED: MODELS, CHAT: GOOD}.get(path, {"count": 5}))

    def intercepts(self, handler: BaseHTTPRequestHandler) -> bool:
        """Sends the bytes of the next answer unchanged."""
        handler.close_connection = True
        headers = (f"{name}: {value}" for name, value in handler.headers.items())
        self._times.append(time.monotonic())
        self.heads.append("\r\n".join([handler.requestline, *headers]))
        if self.dies_after is not None and len(self.heads) > self.dies_after:
            handler.server.shutdown()
            handler.server.server_close()
            return True
        self.over.wait(self.slow.get(handler.path, 0))
        if handler.path in self.silent:
            self.over.wait()
        elif handler.path == CHAT and self.drip_seconds is not None:
            self._drip(handler, self.drip_seconds)
        else:
            handler.wfile.write(self.answer(handler.path))
        return True

    def _drip(self, handler: BaseHTTPRequestHandler, seconds: float) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not self.over.wait(seconds):
            handler.wfile.write(b" ")


@contextmanager
def odd_server() -> Iterator[OddServer]:
    """Serves on a free port of this machine."""
    with teacher_server(OddServer()) as odd:
        yield odd
