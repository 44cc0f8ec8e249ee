"""A teacher behind vLLM's protocol that writes and solves sums, and can be held in mid-answer."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sdg_assets_tests.support.teacher_server import judgement

SUM = re.compile(r"holds (\d+) books and (\d+) more")


class ArithmeticTeacher:
    """Counts what it was asked and what it answered, and how often a client opened it."""

    def __init__(self) -> None:
        self.opened = 0
        self.asked = 0
        self.answered = 0
        self.url = ""
        self._written = 0
        self._changed = threading.Condition()
        self._limit: int | None = None
        self._dropped = 0

    def hold_after(self, answers: int) -> None:
        """Answers so many requests more, then none."""
        with self._changed:
            self._limit = self.answered + answers

    @property
    def holds(self) -> bool:
        """Whether it has come to that."""
        with self._changed:
            return self._limit is not None and self.answered >= self._limit

    def drop(self) -> None:
        """Forgets whom it held, for they are dead, and answers whoever comes."""
        with self._changed:
            self._dropped += 1
            self.resume()

    def resume(self) -> None:
        """Answers those it held, and whoever comes."""
        with self._changed:
            self._limit = None
            self._changed.notify_all()

    def admit(self) -> bool:
        """Takes a request up; false if it was dropped."""
        with self._changed:
            self.asked += 1
            begun = self._dropped
            self._changed.wait_for(
                lambda: begun != self._dropped or self._limit is None or self.answered < self._limit
            )
            self.answered += begun == self._dropped
            return begun == self._dropped

    def complete(self, body: dict[str, Any]) -> str:
        """Writer, judge, solver and background in turn, by what is asked."""
        if judged := judgement(body):
            return judged
        if "response_format" in body:
            with self._changed:
                self._written += 1
                a, b = 100 + self._written, 7 * self._written + 3
            question = f"A shelf holds {a} books and {b} more arrive. How many does it hold then?"
            solution = f"The shelf then holds {a} + {b} = {a + b} books."
            return json.dumps({"question": question, "solution": solution, "answer": str(a + b)})
        text = body["messages"][-1]["content"]
        a, b = map(int, SUM.findall(text)[-1])
        if "Answer:" in body["messages"][0]["content"]:
            return f"The shelf then holds {a} + {b} = {a + b} books. Answer: {a + b}"
        return "Counts of things that come together are added. A sum of counts is a count again."


@contextmanager
def arithmetic_teacher() -> Iterator[ArithmeticTeacher]:
    """A server on a free port of this machine."""
    teacher = ArithmeticTeacher()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                teacher.opened += 1
                self._reply({"data": [{"id": "scripted/arithmetic", "max_model_len": 8192}]})
            else:
                self._reply({})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/tokenize":
                words = sum(len(m["content"].split()) for m in body.get("messages", ()))
                self._reply({"count": words})
            elif teacher.admit():
                text = teacher.complete(body)
                choice = {"message": {"content": text}, "finish_reason": "stop"}
                usage = {"prompt_tokens": 9, "completion_tokens": len(text.split())}
                self._reply({"choices": [choice], "usage": usage})
            else:
                self.close_connection = True  # or a client that lives waits for ever

        def _reply(self, answer: dict[str, Any]) -> None:
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None:
            pass  # a killed client has gone away

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    teacher.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield teacher
    finally:
        teacher.drop()
        server.shutdown()
        server.server_close()
        thread.join()
