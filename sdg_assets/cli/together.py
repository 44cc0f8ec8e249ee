"""Asks a teacher for the answers of several subtasks in one batch, row by row.

A Dagster run has one partition key, so three subtasks of three tasks are three runs. One after the
other they would leave most of an engine's batch empty: on a CPU without fast bfloat16 a decoding
step of six rows takes as long as one of eighteen. So the answers of all subtasks are asked for
here, and each row's votes follow its draft at once. The runs then find the answers in the logs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from sdg_assets.assets.desks import desks_of, judge_of, played, probe_of
from sdg_assets.assets.knobs import SolverConfig, WriterConfig
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.cli import terminal
from sdg_assets.passages.library import passage_index
from sdg_assets.records import (
    Example,
    GeneratedExample,
    Record,
    Rejection,
    Role,
    Stage,
)
from sdg_assets.settings import Settings
from sdg_assets.stages import enriched, generated
from sdg_assets.stages.seed_index import SeedCopies, SeedsById
from sdg_assets.stages.stage import key_of
from sdg_assets.store.partitions import Store
from sdg_assets.store.row_file import RowFile
from sdg_assets.teacher.conversation import Desks, Feed, Usage, Work, observed
from sdg_assets.teacher.requests import Completion, Request
from sdg_assets.teacher.stream import fill
from sdg_assets.thresholds import overridden

NOTE_SECONDS = 20.0
VERIFIED_SHARE = 0.6
"""Share of solved rows that get a background; measured with the embedded teacher on the samples."""


@dataclass
class Together:
    """The progress over all subtasks.

    Attributes:
        budget: Expected requests of a row.
        rows: All rows.
        usages: The teachers' work so far, for each subtask.
    """

    budget: float
    rows: int = 0
    usages: list[Usage] = field(default_factory=list)
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
            f"{self._usage.output_tokens / max(seconds, 1):.0f} tokens/s, {about}"
        )

    @property
    def _usage(self) -> Usage:
        total = Usage()
        for usage in self.usages:
            total.merge(usage)
        return total

    def _seconds_left(self, seconds: float) -> float | None:
        usage = self._usage
        done = usage.requests + usage.reused
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
    roles = played(Role, settings)
    probes = settings.probe_answers if Role.PROBE in roles else 0
    together = Together(1 + settings.votes + VERIFIED_SHARE * (settings.with_knowledge + probes))
    with ExitStack() as stack:
        feeds = []
        for spec in specs:
            desks = stack.enter_context(desks_of(store, spec, roles, settings))
            works = list(_rows(spec, store, settings, desks, together, on_row))
            together.rows += len(works)
            together.usages.append(usage := Usage())
            feeds.append(Feed(works, desks, usage))
        with _Notes(together):
            filled = list(fill(feeds, concurrency=settings.concurrency))
        for feed in filled:
            if feed.error:
                raise feed.error


def _rows(
    spec: SubtaskSpec,
    store: Store,
    settings: Settings,
    desks: Desks,
    together: Together,
    on_row: Callable[[SubtaskSpec, Record], None],
) -> Iterator[Work[None]]:
    """One piece of work a row: its draft, then its votes and additions."""
    seeds = RowFile(Example, store.read(key_of(spec, Stage.NORMALIZED), Example))
    copies = SeedCopies(seeds)
    thresholds = overridden(settings.gates, spec.gates)
    judge = judge_of(desks, spec, SeedsById(seeds), settings)
    writer, solver = desks[Role.WRITER].teacher, desks[Role.SOLVER].teacher
    index = passage_index(store, settings.passages)
    knobs = replace(SolverConfig().knobs(settings), passages=index)
    probe = probe_of(desks, settings)
    context = enriched.context_of(solver, knobs, judge, probe)

    def row(writing: Work[generated.Written | Rejection]) -> Work[None]:
        written = yield from writing
        (draft,) = generated.publish(spec, copies, [written], writer, thresholds)
        together.written += 1
        result: Record = draft
        if isinstance(draft, GeneratedExample):
            (solving,) = enriched.enrich([draft], solver, knobs, judge, probe)
            solved = yield from solving
            (result,) = enriched.publish([solved], context, thresholds=thresholds)
        on_row(spec, result)

    writing_knobs = WriterConfig().knobs(settings)
    if settings.passage_questions:
        writing_knobs = replace(writing_knobs, passages=index)
    for writing in generated.write(spec, seeds, writer, writing_knobs):
        yield _counted(row(writing), together)


def _counted(work: Work[None], together: Together) -> Work[None]:
    """The same work, whose requests are counted when it is finished."""
    asked = 0

    def count(requests: list[Request], _: list[Completion]) -> None:
        nonlocal asked
        asked += len(requests)

    yield from observed(work, count)
    together.finished += 1
    together.spent += asked


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
