"""A limit that is raised, with the real client and log: only what it ended is asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdg_assets.records import Role
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher
from sdg_assets.teacher.conversation import Desk, Usage, Work
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.replay import replay
from sdg_assets.teacher.requests import FinishReason, Message, Sampling
from sdg_assets.teacher.stream import converse
from sdg_assets_tests.support.odd_server import (
    CHAT,
    GOOD,
    LISTED,
    OddServer,
    choice,
    odd_server,
    reply,
)
from sdg_assets_tests.support.requests import request_of

CUT_OFF = reply(choice(message={"content": "re"}, finish_reason="length"))
REFUSED = reply(
    {"error": {"message": "This model's maximum context length is 4096 tokens."}},
    "400 Bad Request",
)
SILENT = reply({"data": [{"id": "org/model"}]})
"""What a server lists that does not say how long its model's context is."""


def filled(server: OddServer, log_path: Path, longest: int, **engine: Any) -> list[FinishReason]:
    """How three answers ended, after a fill and a replay by a new process."""
    teacher = EndpointTeacher(TeacherSpec(server.url, engine=engine))

    def work(text: str) -> Work[FinishReason]:
        message = Message(role="user", content=text)
        (answer,) = yield [request_of(teacher.identity, [message], Sampling(max_tokens=longest))]
        return answer.finish_reason

    def works() -> list[Work[FinishReason]]:
        return [work(text) for text in ("one", "two", "three")]

    # The log's name holds the fingerprint, as in `desks_of`.
    with CompletionLog(log_path / f"{teacher.identity.fingerprint}.jsonl") as log:
        list(converse(works(), {Role.WRITER: Desk(teacher, log)}, Usage(), concurrency=1))
        return list(replay(works(), {Role.WRITER: log.answers()}))


@pytest.mark.parametrize(
    ("ended", "reason", "listed", "longest", "engine"),
    [
        (CUT_OFF, "length", None, 128, {}),
        (REFUSED, "too_long", SILENT, 64, {"max_model_len": 32_768}),
    ],
    ids=["answer", "context that the server does not state"],
)
def test_a_raised_limit_asks_only_for_what_it_ended(
    tmp_path: Path,
    ended: bytes,
    reason: FinishReason,
    listed: bytes | None,
    longest: int,
    engine: dict[str, Any],
) -> None:
    with odd_server() as server:
        asked = list[int]()
        for limit, settings in ((64, {}), (64, {}), (longest, engine), (longest, engine)):
            server.answers[LISTED] = [listed] * 9 if listed else []
            server.answers[CHAT] = [] if asked else [reply(GOOD), ended, reply(GOOD)]
            before = server.requests(CHAT)
            ends = filled(server, tmp_path, limit, **settings)
            asked.append(server.requests(CHAT) - before)
            assert ends[::2] == ["stop", "stop"]
            assert ends[1] == (reason if len(asked) < 3 else "stop")

    assert asked == [3, 0, 1, 0]
