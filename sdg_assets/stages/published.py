"""Makes the rows of a filled partition from its completion logs, batch by batch.

Batches of rows do not depend on each other: each can be made by another process of a pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from more_itertools import chunked

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.base import enrichments
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.probe import Probe
from sdg_assets.gates import draft_gates, first_refusals, text_gates
from sdg_assets.processes.pool import Pool
from sdg_assets.records import (
    AnswerKind,
    EnrichedExample,
    Example,
    GeneratedExample,
    Rejection,
    Role,
    Source,
)
from sdg_assets.stages import enriched, generated
from sdg_assets.stages.enriched import EnrichmentReport
from sdg_assets.stages.generated import Anchor, WriterKnobs, Writing
from sdg_assets.stages.seed_index import SeedCopies
from sdg_assets.teacher.log.answers import Answers
from sdg_assets.teacher.replay import replay
from sdg_assets.teacher.requests import Facts, TeacherFacts
from sdg_assets.thresholds import DEFAULTS, Thresholds

ROWS_PER_BATCH = 128
"""Rows that a process makes at a time. For more of them the gates would take a twentieth less time,
but two processes could not share a partition of 2,000 rows evenly."""


@dataclass(frozen=True)
class _WrittenRows:
    """Makes rows of `generated`."""

    spec: SubtaskSpec
    writing: Writing
    copies: SeedCopies
    writer: Facts
    answers: Mapping[Role, Answers]
    thresholds: Thresholds

    def __call__(self, anchors: Iterable[Anchor]) -> list[GeneratedExample | Rejection]:
        written = replay(map(self.writing.work, anchors), self.answers)
        return list(
            generated.publish(self.spec, self.copies, written, self.writer, self.thresholds)
        )


@dataclass(frozen=True)
class _SolvedRows:
    """Makes rows of `enriched`, and reports on them."""

    solver: Facts
    knobs: SolverKnobs
    judge: Judge | None
    probe: Probe | None
    answers: Mapping[Role, Answers]
    thresholds: Thresholds
    runs_programs: bool

    def __call__(
        self, examples: Iterable[GeneratedExample]
    ) -> tuple[list[EnrichedExample | Rejection], EnrichmentReport]:
        report = EnrichmentReport()
        works = enriched.enrich(examples, self.solver, self.knobs, self.judge, self.probe)
        solved = replay(works, self.answers, runs_programs=self.runs_programs)
        context = enriched.context_of(self.solver, self.knobs, self.judge, self.probe)
        return list(enriched.publish(solved, context, report, self.thresholds)), report


def written_rows(
    spec: SubtaskSpec,
    seeds: Sequence[Example],
    writer: TeacherFacts,
    knobs: WriterKnobs,
    answers: Mapping[Role, Answers],
    thresholds: Thresholds,
    pool: Pool,
) -> Iterator[GeneratedExample | Rejection]:
    """The rows of `generated`, once `generated.write` was filled with the same arguments.

    Args:
        spec: The subtask.
        seeds: The subtask's normalized examples.
        writer: The teacher that wrote.
        knobs: The writer's settings.
        answers: The writer's answers.
        thresholds: The thresholds of the gates that test each draft.
        pool: The processes that make the rows.

    Yields:
        The rows in order, see `generated.publish`.

    Raises:
        StoreError: An answer is missing.
        TransientError: A process of the pool was killed.
    """
    writing = Writing(spec, seeds, writer, knobs)
    job = _WrittenRows(spec, writing, SeedCopies(seeds), Facts.of(writer), answers, thresholds)
    yield from writing.refused
    batches = chunked(writing.anchors(), ROWS_PER_BATCH)
    for rows in pool.each(job, batches, rows=len(writing)):
        yield from rows


def solved_rows(
    examples: Iterable[GeneratedExample],
    count: int,
    solver: TeacherFacts,
    knobs: SolverKnobs,
    judge: Judge | None,
    answers: Mapping[Role, Answers],
    report: EnrichmentReport,
    thresholds: Thresholds,
    pool: Pool,
    *,
    probe: Probe | None = None,
    runs_programs: bool = False,
) -> Iterator[EnrichedExample | Rejection]:
    """The rows of `enriched`, once `enriched.enrich` was filled with the same arguments.

    Args:
        examples: Rows of `generated`.
        count: About how many there are.
        solver: The teacher that answered the questions.
        knobs: The solver's settings.
        judge: The judge; None for none.
        answers: Role → its answers.
        report: Filled while rows are yielded.
        thresholds: The thresholds of the gates that corrected rows and added texts must pass.
        pool: The processes that make the rows.
        probe: The probe; None for none.
        runs_programs: Whether the work runs programs. They take all CPUs from this process, so the
            other processes of the pool are not used.

    Yields:
        The rows in order, see `enriched.publish`.

    Raises:
        StoreError: An answer is missing.
        TransientError: A process of the pool was killed.
    """
    judge = judge and replace(judge, teacher=Facts.of(judge.teacher))
    probe = probe and replace(probe, teacher=Facts.of(probe.teacher))
    job = _SolvedRows(Facts.of(solver), knobs, judge, probe, answers, thresholds, runs_programs)
    batches = chunked(examples, ROWS_PER_BATCH)
    made = map(job, batches) if runs_programs else pool.each(job, batches, rows=count)
    for rows, of_batch in made:
        report.merge(of_batch)
        yield from rows


def warm_up() -> None:
    """Loads what the rows of any partition need: the models of the gates take half a second."""
    enrichments()
    source = Source(dataset="", config="", split="", row=0, revision="", license="")
    row = Example(
        id="0" * 20,
        task="warm-up",
        subtask="warm-up",
        family="knowledge",
        domain="",
        language="en",
        answer_kind=AnswerKind.of_any_row(),
        source=source,
        question="Which river flows through the city of London, and where does it end?",
        answer="The Thames, which flows into the North Sea.",
    )
    for gates in (draft_gates(DEFAULTS), text_gates(DEFAULTS)):
        first_refusals([row], gates)
