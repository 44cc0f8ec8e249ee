"""Asks a teacher for the answers of several subtasks in one batch, row by row.

A Dagster run has one partition key, so three subtasks of three tasks are three runs. One after the
other they would leave most of an engine's batch empty: on a CPU without fast bfloat16 a decoding
step of six rows takes as long as one of eighteen. So the answers of all subtasks are asked for
here, and each row's votes follow its draft at once. The runs then find the answers in the logs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from sdg_assets.assets.desks import desks_of, judge_of, played, probe_of
from sdg_assets.assets.knobs import SolverConfig, WriterConfig
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.cli import terminal
from sdg_assets.enrichment.ahead import requests_ahead
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
FROM_THE_LOG = 0.1
"""A round that took fewer seconds was answered by a log."""


@dataclass(eq=False)
class _Row:
    """A row whose answers are under way."""

    since: float
    """When its present round began."""
    rounds: int = 0
    """Rounds that are answered."""


@dataclass
class Together:
    """The progress over all subtasks.

    Attributes:
        rounds: Rounds of questions that an accepted row needs: for its draft, its votes and, if
            there is one that is not asked for beside them, its background.
        rows: All rows.
        usages: The teachers' work so far, for each subtask.
        written: Rows with a draft, accepted or refused.
        drafts: The accepted drafts.
        has_votes: Whether the votes on a draft are in, or a draft gets none.
        finished: Rows that need no more answers, or get none as their subtask failed.
    """

    rounds: int
    rows: int = 0
    usages: list[Usage] = field(default_factory=list)
    written: int = 0
    drafts: int = 0
    has_votes: bool = False
    finished: int = 0

    def __post_init__(self) -> None:
        """Starts with nothing asked."""
        self._began = time.monotonic()
        self._open: set[_Row] = set()
        self._answered: list[float] = []
        """Seconds of the answered rounds."""

    def __str__(self) -> str:
        """`4 of 18 rows written, 1 answered, 21 tokens/s, about 3.5 min left`."""
        seconds = time.monotonic() - self._began
        left = self._seconds_left()
        about = f"about {left / 60:.1f} min left" if left is not None else "no answer yet"
        tokens = sum(usage.output_tokens for usage in self.usages)
        return (
            f"{self.written} of {self.rows} rows written, {self.finished} answered, "
            f"{tokens / max(seconds, 1):.0f} tokens/s, {about}"
        )

    def followed(self, work: Work[None]) -> Work[None]:
        """The work of a row, whose rounds are timed."""
        row = _Row(time.monotonic())

        def answered(_: list[Request], __: list[Completion]) -> None:
            now = time.monotonic()
            if now - row.since > FROM_THE_LOG:
                self._answered.append(now - row.since)
            row.since, row.rounds = now, row.rounds + 1

        self._open.add(row)
        try:
            yield from observed(work, answered)
        finally:  # also if the work is given up, because its subtask failed
            self._open.discard(row)
            self.finished += 1

    def _seconds_left(self) -> float | None:
        """Until the slowest row is finished; None if no round is.

        Rows are under way side by side, so the rounds of one count and not the requests of all:
        these foretold 110 minutes for the four that were left after the first draft.
        """
        if not self._answered:
            return None
        now, rows = time.monotonic(), list(self._open)
        ages = [now - row.since for row in rows]
        usual = sum(self._answered) / len(self._answered)
        known = [*self._answered, *(age for age in ages if age > usual)]
        seconds = sum(known) / len(known)
        left = [
            max(seconds - age, 0.0) + max(self.rounds - row.rounds - 1, 0) * seconds
            for row, age in zip(rows, ages, strict=True)
        ]
        waiting = self.rows - self.finished - len(rows)
        return max(left, default=0.0) + waiting * self.rounds * seconds / max(len(rows), 1)


def fill_together(
    specs: Sequence[SubtaskSpec],
    store: Store,
    settings: Settings,
    on_row: Callable[[SubtaskSpec, Record], None],
    *,
    is_slow: bool = False,
) -> None:
    """Fills the completion logs of `generated` and `enriched` of all subtasks.

    Args:
        specs: The subtasks, whose `normalized` partitions are in the store.
        store: Holds rows and logs.
        settings: Name the teachers and their knobs.
        on_row: Called with each row: a `Rejection`, or an `EnrichedExample`, once with its votes
            and once with all that follows them.
        is_slow: Whether the teacher runs on a CPU with AVX2 only. It reads 40 tokens a second, so
            the other subtasks wait until the first one has an accepted draft, which their prompts
            would delay by most of a minute. What a row may need after its first votes is asked for
            beside them, see `enrichment.ahead`.

    Raises:
        SdgError: A teacher cannot be used, or failed. Its answers so far are in the logs.
    """
    roles = played(Role, settings)
    adds_later = (settings.with_knowledge and not is_slow) or Role.PROBE in roles
    together = Together(rounds=3 if adds_later else 2)
    with ExitStack() as stack:
        feeds: list[Feed] = []
        for spec in specs:
            desks = stack.enter_context(desks_of(store, spec, roles, settings))
            rows = _Rows(spec, store, settings, desks, together, on_row)
            together.rows += len(rows.works)
            together.usages.append(usage := Usage())
            works: Iterable[Work[None] | None] = rows.works
            if is_slow:
                works = rows.with_what_may_follow()
                works = _after(feeds[0], together, works) if feeds else works
            feeds.append(Feed(works, desks, usage))
        with _Notes(together):
            filled = list(fill(feeds, concurrency=settings.concurrency))
        for feed in filled:
            if feed.error:
                raise feed.error


class _Rows:
    """The rows of one subtask: for each, its draft, then its votes and additions."""

    def __init__(
        self,
        spec: SubtaskSpec,
        store: Store,
        settings: Settings,
        desks: Desks,
        together: Together,
        on_row: Callable[[SubtaskSpec, Record], None],
    ) -> None:
        """Makes one piece of work a row, in `works`."""
        self._spec, self._together, self._on_row = spec, together, on_row
        seeds = RowFile(Example, store.read(key_of(spec, Stage.NORMALIZED), Example))
        self._copies = SeedCopies(seeds)
        self._thresholds = overridden(settings.gates, spec.gates)
        self._judge = judge_of(desks, spec, SeedsById(seeds), settings)
        self._writer, self._solver = desks[Role.WRITER].teacher, desks[Role.SOLVER].teacher
        index = passage_index(store, settings.passages)
        self._knobs = replace(SolverConfig().knobs(settings), passages=index)
        probe = probe_of(desks, settings)
        passes = [(self._knobs, probe)]
        if self._knobs.with_knowledge or probe:
            # What follows the votes takes as long as they do and only adds to the row, so the row
            # is reported before it. The second time the log answers the votes.
            passes.insert(0, (replace(self._knobs, with_knowledge=False), None))
        self._passes = [
            (asked, prober, enriched.context_of(self._solver, asked, self._judge, prober))
            for asked, prober in passes
        ]
        self._written = 0
        self._voted_on: dict[str, GeneratedExample] = {}
        """The drafts by id whose votes are under way, and for which nothing more is asked yet."""
        knobs = WriterConfig().knobs(settings)
        if settings.passage_questions:
            knobs = replace(knobs, passages=index)
        self.works = [
            together.followed(self._row(writing))
            for writing in generated.write(spec, seeds, self._writer, knobs)
        ]

    def with_what_may_follow(self) -> Iterator[Work[None] | None]:
        """The work of all rows, then what each draft may need after its first votes.

        The rows come first, so that nothing is asked for in vain while rows fill the engine; and
        the very first votes come alone, as they show the first row.
        """
        yield from self.works
        while self._voted_on or self._written < len(self.works):
            if self._voted_on and self._together.has_votes:
                yield self._ahead(self._voted_on.pop(next(iter(self._voted_on))))
            else:
                yield None

    def _ahead(self, draft: GeneratedExample) -> Work[None]:
        yield requests_ahead(draft, self._solver, self._knobs)

    def _row(self, writing: Work[generated.Written | Rejection]) -> Work[None]:
        written = yield from writing
        (draft,) = generated.publish(
            self._spec, self._copies, [written], self._writer, self._thresholds
        )
        self._written += 1
        self._together.written += 1
        if isinstance(draft, Rejection):
            return self._on_row(self._spec, draft)
        self._together.drafts += 1
        self._voted_on[draft.id] = draft
        for knobs, probe, context in self._passes:
            (solving,) = enriched.enrich([draft], self._solver, knobs, self._judge, probe)
            solved = yield from solving
            self._together.has_votes = True
            self._voted_on.pop(draft.id, None)
            (result,) = enriched.publish([solved], context, thresholds=self._thresholds)
            self._on_row(self._spec, result)


def _after(
    first: Feed, together: Together, works: Iterable[Work[None] | None]
) -> Iterator[Work[None] | None]:
    """The work, begun when a draft is accepted, or when the first subtask has none to come."""
    while not (together.drafts or first.error or first.is_finished):
        yield None
    yield from works


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
