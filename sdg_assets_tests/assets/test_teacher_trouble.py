"""A refused request costs one row only; a dead teacher fails the rest of the step at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets import factory
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.server import server as servers
from sdg_assets_tests.assets.quiz import quiz
from sdg_assets_tests.conftest import Configure, on_disk
from sdg_assets_tests.support.odd_server import CHAT, OddServer, odd_server, reply
from sdg_assets_tests.support.runs import attempts, failures, materialized, run
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

SUBTASKS = tuple(f"quiz_{n:02}" for n in range(6))
ALL = (SUBTASKS[0], SUBTASKS[-1])


class Refusing(TeacherServer):
    """Refuses one question of one partition, and only then answers that partition's others."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = threading.Event()

    def refuses(self, body: dict[str, Any]) -> bool:
        text = json.dumps(body["messages"])
        if "quiz_02 2?" in text:
            self.refused.set()
            return True
        if "quiz_02" in text:
            assert self.refused.wait(30)
        return False


@pytest.fixture
def prepared(tmp_path: Path, configure: Configure, instance: dg.DagsterInstance) -> Configure:
    """Six normalized partitions; each of their prompts shows one seed."""
    quiz(tmp_path, configure, *SUBTASKS)
    configure(shots=1, retries=0)
    made = run("quiz", ["seeds", "normalized"], subtasks=ALL, instance=instance)
    assert made.success, failures(made)
    return configure


@pytest.fixture
def failing_server() -> Iterator[OddServer]:
    with odd_server() as server:
        yield server


def draft(number: int) -> dict[str, Any]:
    """A server's answer with a valid draft."""
    question = f"Which city has the number {number}?"
    content = json.dumps({"question": question, "answer": "Oslo", "wrong_answers": ["Rome"]})
    return {
        "choices": [{"message": {"content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9},
    }


def answered(store: Store, subtask: str) -> int:
    """Number of answers in the partition's completion log."""
    logs = on_disk(store.completions_dir("quiz", subtask)).glob("writer-*.jsonl")
    return sum(len(log.read_bytes().splitlines()) for log in logs)


def test_a_request_that_is_refused_costs_its_row_and_no_partition(
    prepared: Configure, instance: dg.DagsterInstance, store: Store
) -> None:
    with teacher_server(Refusing()) as teacher:
        prepared(teacher=teacher.url)

        result = run("quiz", ["generated"], subtasks=ALL, instance=instance)

    assert result.success, failures(result)
    assert materialized(instance, "quiz", "generated") == set(SUBTASKS)
    (rejection,) = store.read_rejected(PartitionKey("quiz", "generated", "quiz_02"))
    assert rejection.reason == "refused by the server"
    assert "HTTP 400" in rejection.detail
    assert answered(store, "quiz_02") == answered(store, "quiz_03") == 4


def test_a_teacher_that_is_gone_fails_the_rest_of_a_step_at_once_and_for_now(
    prepared: Configure,
    instance: dg.DagsterInstance,
    failing_server: OddServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.0005)
    monkeypatch.setattr(factory, "retries", lambda: dg.RetryPolicy(max_retries=1))
    # 4 requests for health, model and control tokens, and 4 prompts.
    failing_server.dies_after = 4 + 4
    failing_server.answers[CHAT] = [reply(draft(number)) for number in range(4)]
    prepared(teacher=failing_server.url, concurrency=1, min_yield=0)

    result = run("quiz", ["generated"], subtasks=ALL, instance=instance)

    (message,) = failures(result)
    first, *rest = message.splitlines()
    assert "is the server up" in first
    assert len(rest) == 4  # one was made before the server died
    assert all("not begun: teacher http" in line for line in rest), message
    assert attempts(result) == 2
