"""`generated` with a target number of accepted rows, in a bounded number of rounds.

Each round writes as many examples as the yield so far suggests, and has them solved and tested by
the gates at once to learn how many would be accepted. The solver's completions go to the same log
that `enriched` reads, so that stage finds them there and no request is made twice.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, takewhile
from math import ceil
from typing import Any

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.probe import Probe
from sdg_assets.gates import Gate, first_refusals, row_gates, set_gates
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.records import EnrichedExample, Example, GeneratedExample, Rejection, Role
from sdg_assets.stages.enriched import Solved, context_of, enrich
from sdg_assets.stages.enriched import publish as publish_solved
from sdg_assets.stages.generated import WriterKnobs, Writing, Written
from sdg_assets.stages.generated import publish as publish_written
from sdg_assets.stages.seed_index import SeedCopies
from sdg_assets.store.row_file import RowFile
from sdg_assets.teacher.conversation import ResultT, Work
from sdg_assets.teacher.requests import TeacherFacts
from sdg_assets.thresholds import Thresholds

# The first round assumes that every second example is accepted, unless a yield is known. Later
# rounds use the yield so far, but write at most 20 examples for each missing row.
FIRST_YIELD = 0.5
LEAST_YIELD = 0.05
EXAMPLES_PER_SEED_AT_MOST = 100
UNFINISHED_AT_MOST = 1 << 14
"""Pieces of work between the first unfinished one and the newest: their results wait in memory for
the first one. More than any teacher has under way, so that it never waits for work."""


@dataclass(frozen=True)
class Target:
    """How many rows of a subtask to bring to acceptance, and at which cost.

    Attributes:
        rows: Accepted rows, those of earlier runs included.
        expected_yield: Accepted rows for each example, as expected before the first round.
        most_written: The most examples, those of earlier runs included; None: as many as it takes.
    """

    rows: int
    expected_yield: float = FIRST_YIELD
    most_written: int | None = None


@dataclass
class TargetReport:
    """The progress towards the target, and why rows were lost."""

    target: int
    """Requested number of accepted rows."""
    accepted: int = 0
    written: int = 0
    """Completions of the writer."""
    rounds: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    """Lost rows by "gate: reason", without `copies`."""
    copies: int = 0
    """Rows that a gate over the set refuses as duplicates."""
    unfinished: int = 0
    """Examples that were not written, or not voted on, because the budget was used up."""
    examples: RowFile[GeneratedExample] = field(default_factory=lambda: RowFile(GeneratedExample))
    """What the writer wrote, in a temporary file."""
    refused: RowFile[Rejection] = field(default_factory=lambda: RowFile(Rejection))
    """What `generated` refuses of it, in another."""

    @property
    def rows(self) -> Iterator[GeneratedExample | Rejection]:
        """The rows of `generated`."""
        return chain(self.examples, self.refused)

    @property
    def summary(self) -> str:
        """The result as text; says why if the target was missed."""
        done = f"{self.accepted} of {self.target} rows after {self.rounds} rounds"
        if self.accepted >= self.target:
            return done
        lost = self.lost + Counter({"duplicates": self.copies})
        reasons = "; ".join(f"{reason} {count}" for reason, count in lost.most_common(4))
        end = "; the budget of tokens was used up" if self.unfinished else ""
        none = "nothing" if self.unfinished else "no seeds left"
        return f"{done} and {self.written} examples{end}. Lost to: {reasons or none}"


def write_until(
    spec: SubtaskSpec,
    seeds: Sequence[Example],
    teachers: Mapping[Role, TeacherFacts],
    writer_knobs: WriterKnobs,
    solver_knobs: SolverKnobs,
    thresholds: Thresholds,
    report: TargetReport,
    *,
    heldout: Gate | None = None,
    judge: Judge | None = None,
    probe: Probe | None = None,
    max_rounds: int = 5,
    expected_yield: float = FIRST_YIELD,
    most_written: int | None = None,
    rows_at_once: Callable[[], int] = lambda: sys.maxsize,
) -> Iterator[Work[Any] | None]:
    """Writes examples until enough of them pass the gates, or a bound is reached.

    Args:
        spec: The subtask.
        seeds: The subtask's normalized examples. Each is the anchor equally often.
        teachers: Role → teacher: the writer, the solver, the judge and the probe if there are any.
        writer_knobs: The writer's settings. `examples_per_seed` is raised as needed.
        solver_knobs: The solver's settings, as in `enriched`.
        thresholds: The thresholds of the gates of `filtered`.
        report: Filled round by round. `report.target` is the requested number of rows.
        heldout: The contamination gate, as in `filtered`.
        judge: The judge, as in `enriched`; None for none.
        probe: The probe, as in `enriched`; None for none.
        max_rounds: The maximum number of rounds.
        expected_yield: As in `Target`.
        most_written: As in `Target`.
        rows_at_once: How many examples may be written before they are voted on: with a budget, as
            many as it pays for. Otherwise drafts would use it up, and no votes be left.

    Yields:
        Work for `teacher.stream.fill`. None means that the work so far must be finished
        before the next is known.
    """
    knobs = replace(writer_knobs, examples_per_seed=EXAMPLES_PER_SEED_AT_MOST)
    writer, solver = teachers[Role.WRITER], teachers[Role.SOLVER]
    writing = Writing(spec, seeds, writer, knobs)
    works = map(writing.work, islice(writing.anchors(round_robin=True), most_written))
    gates, context = row_gates(thresholds, heldout), context_of(solver, solver_knobs, judge, probe)
    sets, passed, copies = set_gates(thresholds, lambda: seeds), 0, SeedCopies(seeds)

    for seed in writing.refused:  # no example is written after it
        report.lost[f"{seed.gate}: {seed.reason}"] += 1
        report.refused.extend([seed])

    def keep(results: Sequence[Written | Rejection]) -> None:
        report.written += len(results)
        rows = list(publish_written(spec, copies, results, writer, thresholds))
        refused = [row for row in rows if isinstance(row, Rejection)]
        report.lost.update(f"{row.gate}: {row.reason}" for row in refused)
        report.refused.extend(refused)
        report.examples.extend(row for row in rows if isinstance(row, GeneratedExample))

    def test(results: Sequence[Solved | Rejection]) -> None:
        nonlocal passed
        solved = publish_solved(results, context, thresholds=thresholds)
        rows = list(_accepted(solved, report))
        refused = first_refusals(rows, gates)
        report.lost.update(f"{r.gate}: {r.reason}" for r in refused.values())
        for over_set in sets:
            over_set.add([row for place, row in enumerate(rows) if place not in refused])
        passed += len(rows) - len(refused)

    while report.accepted < report.target and report.rounds < max_rounds:
        missing = report.target - report.accepted
        rate = report.accepted / report.written if report.written else expected_yield
        before, left = report.written, ceil(missing / max(rate, LEAST_YIELD))
        while left:
            written, first, size = report.written, len(report.examples), min(left, rows_at_once())
            report.unfinished += yield from _in_order(islice(works, size), keep)
            if report.written == written:
                break
            examples = (report.examples[place] for place in range(first, len(report.examples)))
            solving = enrich(examples, solver, solver_knobs, judge, probe)
            report.unfinished += yield from _in_order(solving, test)
            left -= size
        if report.written == before:
            return
        report.rounds += 1
        report.copies = len({place for over_set in sets for place in over_set.refusals()})
        report.accepted = passed - report.copies
        if report.unfinished:
            return


def _in_order(
    works: Iterable[Work[ResultT]], receive: Callable[[Sequence[ResultT]], None]
) -> Generator[Work[Any] | None, None, int]:
    """Yields work, or None until some of it is finished, and passes its results on.

    Args:
        works: The work.
        receive: Gets the results in the order of `works`, `ROWS_PER_BATCH` at a time. It has got
            all of them at the end, but for work that a budget ended.

    Returns:
        How many pieces of work a budget ended.
    """
    finished: dict[int, ResultT | None] = {}
    begun = received = ended = 0

    def receive_finished(least: int) -> bool:
        nonlocal received, ended
        next_batch = range(received, received + ROWS_PER_BATCH)
        places = list(takewhile(finished.__contains__, next_batch))
        if len(places) < least:
            return False
        popped = [finished.pop(place) for place in places]
        results = [result for result in popped if result is not None]
        receive(results)
        received += len(places)
        ended += len(places) - len(results)
        return True

    for begun, work in enumerate(works, start=1):
        yield _noted(work, finished, begun - 1)
        if begun % ROWS_PER_BATCH == 0:
            receive_finished(ROWS_PER_BATCH)
        while begun - received >= UNFINISHED_AT_MOST:
            if not receive_finished(ROWS_PER_BATCH):
                yield None
    while received < begun:
        if not receive_finished(min(ROWS_PER_BATCH, begun - received)):
            yield None
    return ended


def _noted(work: Work[ResultT], finished: dict[int, ResultT | None], place: int) -> Work[None]:
    """The same work, which notes its result; None if a budget ended it before."""
    try:
        finished[place] = yield from work
    except GeneratorExit:
        finished[place] = None
        raise


def _accepted(
    rows: Iterable[EnrichedExample | Rejection], report: TargetReport
) -> Iterator[EnrichedExample]:
    for row in rows:
        if isinstance(row, Rejection):
            report.lost[f"{row.gate}: {row.reason}"] += 1
        else:
            yield row
