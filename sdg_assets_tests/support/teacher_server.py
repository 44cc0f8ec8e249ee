"""The only stub of a server: real sockets, vLLM's protocol or another, scripted answers.

For runs around a teacher in processes of their own, which a scripted teacher cannot reach, and for
a client of servers. A behaviour is a subclass of `TeacherServer`: what it writes and solves, whom
it keeps waiting (`admits`), or what it sends in place of an answer (`intercepts`).
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

TeacherT = TypeVar("TeacherT", bound="TeacherServer")


class TeacherServer:
    """Writes questions whose answer is Oslo, and solves them correctly."""

    def __init__(self) -> None:
        self.model = "scripted/one"
        self.seconds = 0.0
        """Seconds that an answer takes."""
        self.may_answer = threading.Event()
        """Requests wait while this is not set."""
        self.may_answer.set()
        self.asked: Counter[str] = Counter()
        """Number of requests by content, model included."""
        self.answered: Counter[str] = Counter()
        self.opened = 0
        """Number of calls of `/v1/models`: each client makes one first."""
        self.over = threading.Event()
        """Set when the server ends; waiting handlers must not outlive it."""
        self.url = ""
        self.refusal_status = 400

    def intercepts(self, handler: BaseHTTPRequestHandler) -> bool:
        """Whether it has sent another reply, or none, instead of an answer."""
        return False

    def admits(self) -> bool:
        """Waits until a completion may be answered; false: its connection is dropped."""
        self.over.wait(self.seconds)
        self.may_answer.wait()
        return True

    def release(self) -> None:
        """Releases all waiting handlers: the server ends."""
        self.may_answer.set()

    def refuses(self, body: dict[str, Any]) -> bool:
        """Whether a request is malformed."""
        return False

    def refusal(self, body: dict[str, Any]) -> dict[str, Any]:
        """The error with which a malformed request is refused; empty: it is answered."""
        return {"error": {"message": "no such thing"}} if self.refuses(body) else {}

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        """The message of the answer to a request."""
        return {"content": self.complete(body)}

    def embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request for embeddings, or an error."""
        return {"error": {"message": "no embedding model"}}

    def complete(self, body: dict[str, Any]) -> str:
        """The answer to a request; its prompt shows the role."""
        if "reasoning" in schema_of(body):
            reasoning, _, answer = self.speak(body).rpartition("Answer: ")
            return json.dumps({"reasoning": reasoning.strip(), "answer": answer})
        if judged := judgement(body):
            return judged
        if "response_format" in body:
            return json.dumps(self.write(body))
        return self.speak(body)

    def write(self, body: dict[str, Any]) -> dict[str, Any]:
        """The writer's draft."""
        digest = sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
        question = f"Which city has the number {digest}?"
        return {"question": question, "answer": "Oslo", "wrong_answers": ["Rome"]}

    def speak(self, body: dict[str, Any]) -> str:
        """The solver's answer or background."""
        if is_vote(body):
            return "I looked the number up in the register of cities. Answer: Oslo"
        return "Cities have numbers in the register."


def schema_of(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of the JSON that a request asks for, in order; empty for free text."""
    form = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
    fields: dict[str, Any] = form.get("properties", {})
    return fields


def is_vote(body: dict[str, Any]) -> bool:
    """Whether a request asks the solver for an answer."""
    return "Answer:" in body["messages"][0]["content"] or "reasoning" in schema_of(body)


def judgement(body: dict[str, Any]) -> str:
    """The best ratings for a request for ratings; empty for every other request."""
    criteria = schema_of(body)
    if not criteria or "question" in criteria:
        return ""
    return json.dumps({name: 5 if name != "comment" else "Sound." for name in criteria})


@contextmanager
def teacher_server(teacher: TeacherT) -> Iterator[TeacherT]:
    """Serves the teacher on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if teacher.intercepts(self):
                return
            if self.path != "/v1/models":
                self._reply({})
                return
            teacher.opened += 1
            self._reply({"data": [{"id": teacher.model, "max_model_len": 8192}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if teacher.intercepts(self):
                return
            if self.path == "/tokenize":
                words = sum(len(m["content"].split()) for m in body.get("messages", ()))
                self._reply({"count": words})
                return
            if self.path == "/v1/embeddings":
                reply = teacher.embeddings(body)
                self._reply(reply, 200 if "data" in reply else 400)
                return
            content = json.dumps(body, sort_keys=True)
            teacher.asked[content] += 1
            if refusal := teacher.refusal(body):
                self._reply(refusal, teacher.refusal_status)
                return
            if not teacher.admits():
                self.close_connection = True  # else a living client waits for ever
                return
            message = teacher.message(body)
            tokens = sum(len(text.split()) for text in message.values())
            self._reply(
                {
                    "choices": [{"message": message, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 9, "completion_tokens": tokens},
                }
            )
            teacher.answered[content] += 1

        def _reply(self, answer: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        # With five, connections that come together wait seconds for their second attempt.
        request_queue_size = 1024

        def handle_error(self, *arguments: object) -> None:
            pass  # a killed client has gone away

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    teacher.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield teacher
    finally:
        teacher.over.set()
        teacher.release()
        server.shutdown()
        server.server_close()
        thread.join()
