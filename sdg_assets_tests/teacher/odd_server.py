"""A server of real sockets whose answer to the next chat request is any bytes that a test likes."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

GOOD: dict[str, Any] = {
    "choices": [{"message": {"content": "red"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1},
}
MODELS: dict[str, Any] = {"data": [{"id": "org/model", "max_model_len": 1024}]}
CHAT, HEALTH, LISTED = "/v1/chat/completions", "/health", "/v1/models"


def http(body: bytes | str, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer."""
    data = body.encode() if isinstance(body, str) else body
    lines = {"Content-Length": str(len(data)), "Connection": "close", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + data


def reply(body: object, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer with a JSON body."""
    return http(json.dumps(body), status, Content_Type="application/json", **headers)


def zipped(body: object) -> bytes:
    """A whole answer, compressed."""
    return http(gzip.compress(json.dumps(body).encode()), Content_Encoding="gzip")


def but(**changes: Any) -> dict[str, Any]:
    """A good answer with other parts; None takes a part out, `null` in its place is `Null`."""
    changed = {**GOOD, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def choice(**changes: Any) -> dict[str, Any]:
    """A good answer with another choice."""
    return {**GOOD, "choices": [{**GOOD["choices"][0], **changes}]}


class OddServer:
    """Answers by path: from a list of answers, then well."""

    def __init__(self) -> None:
        self.answers: dict[str, list[bytes]] = {}
        """Path → the next answers; the last one is given for ever if `stubborn`."""
        self.stubborn = False
        self.drip_seconds: float | None = None
        """Between two bytes, of an answer that never ends."""
        self.silent: set[str] = set()
        """Paths that are never answered."""
        self.slow: dict[str, float] = {}
        """Path → seconds until it is answered."""
        self.dies_after: int | None = None
        """Requests after which nothing is answered and nobody listens any more."""
        self.heads: list[str] = []
        """Request lines and headers that came."""
        self.stopping = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def close(self) -> None:
        """Listens no more."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def asked(self, path: str) -> int:
        """How often the path was asked for."""
        return sum(f" {path} " in head.split("\r\n", 1)[0] for head in self.heads)

    def answer(self, path: str) -> bytes:
        left = self.answers.get(path)
        if left:
            return left[0] if self.stubborn and len(left) == 1 else left.pop(0)
        return reply({HEALTH: {}, LISTED: MODELS, CHAT: GOOD}.get(path, {"count": 5}))

    def serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(65536)
                if not data:
                    return
                head += data
            top, _, body = head.partition(b"\r\n\r\n")
            text = top.decode("latin-1")
            length = next(
                (int(line[15:]) for line in text.lower().split("\r\n") if
                 line.startswith("content-length:")), 0,
            )  # fmt: skip
            while len(body) < length:
                body += connection.recv(65536)
            self.heads.append(text)
            if self.dies_after is not None and len(self.heads) > self.dies_after:
                self.close()
                return
            path = text.split(" ")[1]
            time.sleep(self.slow.get(path, 0))
            if path in self.silent:
                while not self.stopping:
                    time.sleep(0.02)
                return
            if path == CHAT and self.drip_seconds is not None:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not self.stopping:
                    connection.sendall(b" ")
                    time.sleep(self.drip_seconds)
                return
            connection.sendall(self.answer(path))


@contextmanager
def odd_server() -> Iterator[OddServer]:
    """Serves on a free port of this machine."""
    odd = OddServer()

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = odd.listener.accept()
                threading.Thread(target=odd.serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield odd
    finally:
        odd.stopping = True
        odd.close()
