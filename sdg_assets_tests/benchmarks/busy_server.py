"""Can one core of a client keep a server busy? A stub server answers each request after 2 s.

    python -m sdg_assets_tests.benchmarks.busy_server

The stub runs in a process of its own, and so does the client, which must use less than one core. It
holds 1,024 requests under way through the whole path of a server teacher: made harmless, sent,
answered, checked, polled. The goals are the constants below; a missed one is named, and the exit
status is 1.

The server is busy as far as it has 1,024 requests in hand, from the arrival of each to its answer.
A machine with other work makes both late: the stub, which shows in the completions a second, and
the client, which shows in the seconds that it waited for a core. Measure on a quiet one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import sys
import time
import urllib.request
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ClassVar

from sdg_assets.addresses import addresses_in
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher
from sdg_assets.teacher.requests import (
    Completion,
    Message,
    Request,
)
from sdg_assets_tests.support.requests import request_of

UNDER_WAY = 1024
ANSWER_SECONDS = 2.0
BUSY_GOAL = 0.95
CORES_GOAL = 1.0
MEMORY_GOAL_GIB = 1.0

SYSTEM = "You write new items for a question bank. " * 20
USER = "Example 1: a question about trains and the time that they need. " * 25
ANSWER = "The train needs two hours for the first part and one for the second. " * 10


def _reply(path: bytes) -> bytes:
    body: dict[str, object] = {"data": [{"id": "stub/model", "max_model_len": 32768}]}
    if path == b"/v1/chat/completions":
        message = {"role": "assistant", "content": ANSWER, "tool_calls": []}
        usage = {"prompt_tokens": 500, "completion_tokens": 150, "total_tokens": 650}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        body = {"id": "chatcmpl-1", "object": "chat.completion", "choices": choices, "usage": usage}
    if path == b"/tokenize":
        body = {"count": 2}
    return _http(body)


def _http(body: dict[str, object]) -> bytes:
    data = json.dumps(body).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(data) + data


class _Stub(asyncio.Protocol):
    """The server's side of a connection: as little work as HTTP allows."""

    transport: asyncio.Transport
    # Shared by all connections: an answer a path, and the seconds that requests were in hand.
    replies: ClassVar[dict[bytes, bytes]] = {}
    in_hand: ClassVar[float] = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.lower().split(b"\r\n")
        lengths = [line.split(b":")[1] for line in lines if line.startswith(b"content-length:")]
        if len(body) < int(lengths[0] if lengths else 0):
            return
        self.received = b""
        path = head.split(b" ", 2)[1]
        if path == b"/in_hand":
            self.transport.write(_http({"seconds": _Stub.in_hand}))
            return
        if path not in self.replies:
            self.replies[path] = _reply(path)
        seconds = ANSWER_SECONDS if path == b"/v1/chat/completions" else 0.0
        asyncio.get_running_loop().call_later(seconds, self._answer, path, time.monotonic())

    def _answer(self, path: bytes, arrived: float) -> None:
        self.transport.write(self.replies[path])
        if path == b"/v1/chat/completions":
            _Stub.in_hand += time.monotonic() - arrived


def _serve(port: Connection) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Stub, "127.0.0.1", 0, backlog=4096)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def _request(teacher: EndpointTeacher, number: int) -> Request:
    messages = [
        Message(role="system", content=SYSTEM),
        Message(role="user", content=f"Number {number}. {USER}"),
    ]
    return request_of(teacher.identity, messages)


def measure(address: str, seconds: float) -> tuple[float, float, float]:
    """Keeps the servers busy.

    Args:
        address: One address, or several with commas between.
        seconds: How long to count, after the first answers.

    Returns:
        Share of the time that the servers were busy, completions a second, and seconds of the
        client's CPU for each.
    """
    teacher = EndpointTeacher(TeacherSpec(address, concurrency=UNDER_WAY))
    for number in range(UNDER_WAY):
        teacher.submit(_request(teacher, number))
        # Real answers differ in length. These must not all come at once.
        time.sleep(ANSWER_SECONDS / UNDER_WAY)
    number, done, began, cpu = UNDER_WAY, 0, 0.0, 0.0
    in_hand = 0.0
    while not began or time.monotonic() - began < seconds:
        outcomes = teacher.poll()
        for outcome in outcomes:
            assert isinstance(outcome, Completion), outcome
            teacher.submit(_request(teacher, number))
            number += 1
        if began:
            done += len(outcomes)
        elif number >= 3 * UNDER_WAY:  # connections are open, and the first burst has spread
            began, cpu, in_hand = time.monotonic(), time.process_time(), _in_hand(address)
    passed = time.monotonic() - began
    cpu = time.process_time() - cpu
    busy = (_in_hand(address) - in_hand) / passed / UNDER_WAY
    return busy, done / passed, cpu / done


def _in_hand(address: str) -> float:
    """Seconds of all requests that the servers have answered, each from arrival to answer."""
    total = 0.0
    for url in addresses_in(address):
        with urllib.request.urlopen(f"{url}/in_hand") as answer:
            total += json.load(answer)["seconds"]
    return total


def _waited() -> float:
    """Seconds for which this process's threads were ready to run and had no core (Linux)."""
    files = Path("/proc/self/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[1]) for file in files) / 1e9


def _client(address: str, seconds: float, result: Connection) -> None:
    busy, rate, cpu = measure(address, seconds)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    result.send((busy, rate, cpu, memory, _waited()))


def main() -> int:
    """Prints the figures; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--servers", type=int, default=1, help="number of stub servers")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    addresses, stubs = [], []
    for _ in range(arguments.servers):
        here, there = context.Pipe()
        stub = context.Process(target=_serve, args=(there,), daemon=True)
        stub.start()
        stubs.append(stub)
        addresses.append(f"http://127.0.0.1:{here.recv()}")
    here, there = context.Pipe()
    client = context.Process(target=_client, args=(",".join(addresses), arguments.seconds, there))
    client.start()
    busy, rate, cpu, memory, waited = here.recv()
    client.join()
    for stub in stubs:
        stub.terminate()

    most = UNDER_WAY / ANSWER_SECONDS
    print(f"the server is {busy:.1%} busy")
    print(f"{rate:.0f} completions a second of {most:.0f} (fewer if the stub's timers are late)")
    print(f"{1000 * cpu:.2f} ms of the client's CPU a completion, {rate * cpu:.2f} of one core")
    print(f"{memory:.2f} GiB at most")
    print(f"the client waited {waited:.1f} s for a core; on a quiet machine it hardly waits")
    missed = []
    if busy < BUSY_GOAL:
        missed.append(f"the server is less than {BUSY_GOAL:.0%} busy")
    if rate * cpu >= CORES_GOAL:
        missed.append("the client needs more than one core")
    if memory >= MEMORY_GOAL_GIB:
        missed.append(f"the client holds {MEMORY_GOAL_GIB:g} GiB or more")
    for goal in missed:
        print(f"MISSED: {goal}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
