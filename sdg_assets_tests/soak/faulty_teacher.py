"""A teacher whose answers depend only on the request, and a server with faults on demand."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from random import Random

from sdg_assets_tests.support.teacher_server import TeacherServer

# Faults come between good answers. When consecutive requests met all faults, one partition with
# four remaining requests met four faults in each of 40 runs, and the soak never ended.
FAULT_PROBABILITY = 0.25


class FaultyTeacher(TeacherServer):
    """Answers like `TeacherServer`, but a fault replaces some answers."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.model = "scripted/soak"
        self.faults_met: Counter[str] = Counter()
        self._random = random
        self._lock = threading.Lock()
        self._pending: list[str] = []
        self.is_gone = False
        """Drops every connection at once, like a restarting server."""

    def misbehave(self, fault: str, requests: int) -> None:
        """Schedules a fault for `requests` of the next requests; see `FAULTS`."""
        with self._lock:
            self._pending += [fault] * requests

    def behave(self) -> None:
        """Cancels the scheduled faults."""
        with self._lock:
            self._pending.clear()

    def leave(self) -> None:
        """Drops every connection from now on."""
        self.is_gone = True

    def come_back(self) -> None:
        """Answers again."""
        self.is_gone = False

    def intercepts(self, handler: BaseHTTPRequestHandler) -> bool:
        """Drops the connection while the server is gone; else applies a scheduled fault."""
        if self.is_gone:
            _drop(handler)
            return True
        if handler.path != "/v1/chat/completions" or not (fault := self.next_fault()):
            return False
        FAULTS[fault](handler)
        return True

    def next_fault(self) -> str | None:
        """The fault for this request; None: it is answered."""
        with self._lock:
            if not self._pending or self._random.random() > FAULT_PROBABILITY:
                return None
            fault = self._pending.pop(self._random.randrange(len(self._pending)))
            self.faults_met[fault] += 1
            return fault


Handler = BaseHTTPRequestHandler


def _send(handler: Handler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def _drop(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def _cut(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "4000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"message": {"content": "The answer')
    handler.wfile.flush()
    _drop(handler)


def _drip(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "4000")
    handler.end_headers()
    for byte in b'{"choices": [':
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.05)
    _drop(handler)


# Each fault is temporary: a retry is answered.
FAULTS: dict[str, Callable[[Handler], None]] = {
    "status 500": lambda handler: _send(handler, 500, b"oops"),
    "status 503": lambda handler: _send(handler, 503, b"<html>starting</html>"),
    "status 429": lambda handler: _send(handler, 429, b"{}", Retry_After="1"),
    "connection dropped": _drop,
    "answer cut in half": _cut,
    "answer in drips": _drip,
    "HTML with status 200": lambda handler: _send(handler, 200, b"<html>proxy</html>"),
    "empty body": lambda handler: _send(handler, 200, b""),
    "bad gzip": lambda handler: _send(handler, 200, b"\x1f\x8b\x08no", Content_Encoding="gzip"),
    "bad UTF-8": lambda handler: _send(handler, 200, b'{"choices": ["\xff\xfe"]}'),
    "no choices": lambda handler: _send(handler, 200, b'{"usage": {}}'),
}
