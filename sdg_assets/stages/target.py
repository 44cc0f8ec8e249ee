"""`generated` with a target number of accepted rows, in a bounded number of rounds.

Each round writes as many examples as the yield so far suggests, and has them solved and tested by
the gates at once to learn how many would be accepted. The solver's completions go to the same log
that `enriched` reads, so that stage finds them there and no request is made twice.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

from more_itertools import chunked

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.probe import Probe
from sdg_assets.gates import Gate, first_refusals, row_gates, set_gates
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.records import EnrichedExample, Example, GeneratedExample, Rejection, Role
from sdg_assets.stages.enriched import context_of, enrich
from sdg_assets.stages.enriched import publish as publish_solved
from sdg_assets.stages.generated import WriterKnobs, Written, write
from sdg_assets.stages.generated import publish as publish_written
from sdg_assets.stages.seed_index import SeedCopies
from sdg_assets.teacher.conversation import ResultT, Work, captured
from sdg_assets.teacher.requests import TeacherFacts
from sdg_assets.thresholds import Thresholds

# The first round assumes that every second example is accepted, unless a yield is known. Later
# rounds use the yield so far, but write at most 20 examples for each missing row.
FIRST_YIELD = 0.5
LEAST_YIELD = 0.05
EXAMPLES_PER_SEED_AT_MOST = 100


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
    results: list[Written | Rejection] = field(default_factory=list)
    """The results of `generated.write`, for `generated.publish`."""

    @property
    def summary(self) -> str:
        """The result as text; says why if the target was missed."""
        done = f"{self.accepted} of {self.target} rows after {self.rounds} rounds"
        if self.accepted >= self.target:
            return done
        lost = self.lost + Counter({"duplicates": self.copies})
        reasons = "; ".join(f"{reason} {count}" for reason, count in lost.most_common(4))
        return f"{done} and {self.written} examples. Lost to: {reasons or 'no seeds left'}"


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

    Yields:
        Work for `teacher.stream.fill`. None means that the work so far must be finished
        before the next is known.
    """
    knobs = replace(writer_knobs, examples_per_seed=EXAMPLES_PER_SEED_AT_MOST)
    writer, solver = teachers[Role.WRITER], teachers[Role.SOLVER]
    works = itertools.islice(write(spec, seeds, writer, knobs, round_robin=True), most_written)
    gates, context = row_gates(thresholds, heldout), context_of(solver, solver_knobs, judge, probe)
    sets, passed, copies = set_gates(thresholds, lambda: seeds), 0, SeedCopies(seeds)
    while report.accepted < report.target and report.rounds < max_rounds:
        missing = report.target - report.accepted
        rate = report.accepted / report.written if report.written else expected_yield
        batch = list(itertools.islice(works, ceil(missing / max(rate, LEAST_YIELD))))
        if not batch:
            return
        written = yield from _round(batch)
        report.results += written
        report.rounds += 1
        report.written += len(written)
        rows = list(publish_written(spec, copies, written, writer, thresholds))
        report.lost.update(f"{r.gate}: {r.reason}" for r in rows if isinstance(r, Rejection))
        examples = [row for row in rows if isinstance(row, GeneratedExample)]
        results = yield from _round(list(enrich(examples, solver, solver_knobs, judge, probe)))
        solved = publish_solved(results, context, thresholds=thresholds)
        for some in chunked(_accepted(solved, report), ROWS_PER_BATCH):
            refused = first_refusals(some, gates)
            report.lost.update(f"{r.gate}: {r.reason}" for r in refused.values())
            for over_set in sets:
                over_set.add([row for place, row in enumerate(some) if place not in refused])
            passed += len(some) - len(refused)
        report.copies = len({place for over_set in sets for place in over_set.refusals()})
        report.accepted = passed - report.copies


def _round(works: Sequence[Work[ResultT]]) -> Generator[Work[Any] | None, None, list[ResultT]]:
    """Yields the work of a round, then None until all of it is finished; returns the results."""
    results: dict[int, ResultT] = {}
    for index, work in enumerate(works):
        yield captured(work, results, index)
    while len(results) < len(works):
        yield None
    return [results[index] for index in range(len(works))]


def _accepted(
    rows: Iterable[EnrichedExample | Rejection], report: TargetReport
) -> Iterator[EnrichedExample]:
    for row in rows:
        if isinstance(row, Rejection):
            report.lost[f"{row.gate}: {row.reason}"] += 1
        else:
            yield row
