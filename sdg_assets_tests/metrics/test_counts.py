from __future__ import annotations

from pathlib import Path

from sdg_assets.errors import TransientError
from sdg_assets.metrics.counts import Counts, Step
from sdg_assets.metrics.table import COMPLETIONS, FILLED, WAITING
from sdg_assets.records import Role
from sdg_assets.store.partitions import PartitionKey
from sdg_assets.teacher.conversation import Desk, Feed, Usage
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Message
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion

KEY = PartitionKey("quiz", "generated", "quiz_a")


class QueueingTeacher(ScriptedTeacher):
    """A teacher that tells how many requests it has not begun."""

    waiting = 3


def value(counts: Counts, metric: object) -> float:
    return sum(sample.value for sample in counts.samples() if sample.metric == metric)


def test_a_counter_never_falls_when_a_partition_is_filled(tmp_path: Path) -> None:
    teacher = QueueingTeacher(lambda _: "Yes.")
    counts = Counts(Step("run", "step"))
    request = request_of(teacher.identity, [Message(role="user", content="Well?")])
    with CompletionLog(tmp_path / "log.jsonl") as log:
        feeds = [Feed((), {Role.WRITER: Desk(teacher, log)}, Usage()) for _ in range(3)]
        for feed in feeds:
            counts.fill(KEY, feed)
            feed.count(completion(request, "Yes."), Role.WRITER)
        assert (value(counts, COMPLETIONS), value(counts, WAITING)) == (3, 3)
        feeds[1].fail(TransientError("gone"))
        feeds[2].usage.unfinished = 4321  # a budget ended it
        for feed in feeds:
            counts.filled(feed)
            assert value(counts, COMPLETIONS) == 3
        counts.filled(feeds[0])  # a second time, as one that was never opened

    outcomes = {s.labels: s.value for s in counts.samples() if s.metric == FILLED}
    assert outcomes == {
        ("quiz", "generated", "complete"): 1,
        ("quiz", "generated", "failed"): 1,
        ("quiz", "generated", "unfinished"): 1,
    }
    assert value(counts, WAITING) == 0
