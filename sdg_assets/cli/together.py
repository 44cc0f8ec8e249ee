"""Asks a teacher for the answers of several subtasks in one batch, row by row.

A Dagster run has one partition key, so three subtasks of three tasks are three runs. One after the
other they would leave most of an engine's batch empty: on a CPU without fast bfloat16 a decoding
step of six rows takes as long as one of eighteen. So the answers of all subtasks are asked for
here, and each row's votes follow its draft at once. The runs then find the answers in the logs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, cast

from more_itertools import interleave_longest

from sdg_assets.assets.desks import desks_of, judge_of, played
from sdg_assets.assets.knobs import SolverConfig, WriterConfig
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.cli import terminal
from sdg_assets.enrichment.judge import Judge
from sdg_assets.records import (
    EnrichedExample,
    Example,
    GeneratedExample,
    Record,
    Rejection,
    Role,
    Stage,
)
from sdg_assets.settings import Settings
from sdg_assets.stages.enriched import enrich
from sdg_assets.stages.generated import generate
from sdg_assets.stages.stage import key_of
from sdg_assets.store.partitions import Store
from sdg_assets.teacher.conversation import Desk, Usage, Work, converse
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Completion
from sdg_assets.thresholds import Thresholds, overridden

NOTE_SECONDS = 20.0
VERIFIED_SHARE = 0.6
"""Share of solved rows that get a background; measured with the embedded teacher on the samples."""


class SharedLog:
    """The logs of several subtasks behind one desk: an answer goes to the subtask that asked."""

    def __init__(self) -> None:
        """Starts without logs; `asks` adds them."""
        self._log_of: dict[str, CompletionLog] = {}

    def asks(self, request_id: str, log: CompletionLog) -> None:
        """Notes that a subtask waits for a request, and which log is its own."""
        self._log_of[request_id] = log

    def __contains__(self, request_id: str) -> bool:
        """Whether the subtask's log has the answer."""
        return request_id in self._log_of[request_id]

    def get(self, request_id: str) -> Completion:
        """The logged answer."""
        return self._log_of[request_id].get(request_id)

    def append(self, completion: Completion) -> None:
        """Adds an answer to its subtask's log."""
        self._log_of[completion.request_id].append(completion)


@dataclass
class Together:
    """The progress over all subtasks.

    Attributes:
        budget: Expected requests of a row.
        rows: All rows.
        usage: The teachers' work so far.
    """

    budget: float
    rows: int = 0
    usage: Usage = field(default_factory=Usage)
    written: int = 0
    finished: int = 0
    spent: int = 0
    """Requests of the finished rows."""
    began: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        """`4 of 18 rows written, 1 answered, 21 tokens/s, about 3.5 min left`."""
        seconds = time.monotonic() - self.began
        left = self._seconds_left(seconds)
        about = f"about {left / 60:.1f} min left" if left is not None else "no answer yet"
        return (
            f"{self.written} of {self.rows} rows written, {self.finished} answered, "
            f"{self.usage.output_tokens / max(seconds, 1):.0f} tokens/s, {about}"
        )

    def _seconds_left(self, seconds: float) -> float | None:
        done = self.usage.requests + self.usage.reused
        expected = self.spent + (self.rows - self.finished) * self.budget
        return seconds / done * max(expected - done, 0) if done else None


def fill_together(
    specs: Sequence[SubtaskSpec],
    store: Store,
    settings: Settings,
    on_row: Callable[[SubtaskSpec, Record], None],
) -> None:
    """Fills the completion logs of `generated` and `enriched` of all subtasks.

    Args:
        specs: The subtasks, whose `normalized` partitions are in the store.
        store: Holds rows and logs.
        settings: Name the teachers and their knobs.
        on_row: Called with each finished row: an `EnrichedExample` or a `Rejection`.

    Raises:
        SdgError: A teacher cannot be used, or failed. Its answers so far are in the logs.
    """
    roles = played((Role.WRITER, Role.SOLVER, Role.JUDGE), settings)
    together = Together(1 + settings.votes + VERIFIED_SHARE * settings.with_knowledge)
    with ExitStack() as stack:
        streams, shared = [], {role: SharedLog() for role in roles}
        teachers: dict[Role, Any] = {}
        for spec in specs:
            desks = stack.enter_context(desks_of(store, spec, roles, settings))
            teachers |= {role: desk.teacher for role, desk in desks.items()}
            streams.append(_rows(spec, store, settings, desks, shared, together, on_row))
        desk_of = {
            role: Desk(teacher, cast("CompletionLog", shared[role]))
            for role, teacher in teachers.items()
        }
        works = list(interleave_longest(*streams))
        together.rows = len(works)
        with _Notes(together):
            for _ in converse(works, desk_of, together.usage, concurrency=settings.concurrency):
                pass


def _rows(
    spec: SubtaskSpec,
    store: Store,
    settings: Settings,
    desks: Mapping[Role, Desk],
    shared: Mapping[Role, SharedLog],
    together: Together,
    on_row: Callable[[SubtaskSpec, Record], None],
) -> Iterator[Work[None]]:
    """One piece of work a row: its draft, then its votes and additions."""
    seeds = list(store.read(key_of(spec, Stage.NORMALIZED), Example))
    thresholds = overridden(settings.gates, spec.gates)
    judge = judge_of(desks, spec, {seed.id: seed for seed in seeds}, settings)
    writer = desks[Role.WRITER].teacher
    writes = generate(spec, seeds, writer, WriterConfig().knobs(settings), thresholds)

    def row(writing: Work[GeneratedExample | Rejection]) -> Work[None]:
        result: Record = yield from writing
        together.written += 1
        if isinstance(result, GeneratedExample):
            result = yield from _solving(result, desks, settings, judge, thresholds)
        on_row(spec, result)

    for writing in writes:
        yield _asked_for(row(writing), desks, shared, together)


def _solving(
    example: GeneratedExample,
    desks: Mapping[Role, Desk],
    settings: Settings,
    judge: Judge | None,
    thresholds: Thresholds,
) -> Work[EnrichedExample | Rejection]:
    solver, knobs = desks[Role.SOLVER].teacher, SolverConfig().knobs(settings)
    (work,) = enrich([example], solver, knobs, judge, thresholds=thresholds)
    return work


def _asked_for(
    work: Work[None],
    desks: Mapping[Role, Desk],
    shared: Mapping[Role, SharedLog],
    together: Together,
) -> Work[None]:
    """The same work, whose answers go to the logs of its own subtask."""
    answers: list[Completion] | None = None
    asked = 0
    while True:
        try:
            requests = next(work) if answers is None else work.send(answers)
        except StopIteration:
            together.finished += 1
            together.spent += asked
            return
        asked += len(requests)
        for request in requests:
            shared[request.role].asks(request.id, desks[request.role].log)
        answers = yield requests


class _Notes:
    """Notes the progress every `NOTE_SECONDS` during a block, from a thread of its own."""

    def __init__(self, together: Together) -> None:
        self._together = together
        self._over = threading.Event()

    def __enter__(self) -> None:
        threading.Thread(target=self._note, name="progress", daemon=True).start()

    def __exit__(self, *failure: object) -> None:
        self._over.set()

    def _note(self) -> None:
        while not self._over.wait(NOTE_SECONDS):
            terminal.note(str(self._together))
