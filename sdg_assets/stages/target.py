"""`generated` with a target number of accepted rows, in a bounded number of rounds.

Each round writes as many examples as the yield so far suggests, and has them solved and tested by
the gates at once to learn how many would be accepted. The solver's completions go to the same log
that `enriched` reads, so that stage finds them there and no request is made twice.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from more_itertools import chunked

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.enrichment.judge import Judge
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.gates import Gate, first_refusals, row_gates, set_gates
from sdg_assets.gates.base import ROWS_PER_BATCH
from sdg_assets.records import EnrichedExample, Example, GeneratedExample, Rejection, Role
from sdg_assets.stages.enriched import enrich
from sdg_assets.stages.generated import WriterKnobs, generate
from sdg_assets.teacher.conversation import Desk, Usage, converse
from sdg_assets.thresholds import Thresholds

# The first round assumes that every second example is accepted. Later rounds use the yield so far,
# but write at most 20 examples for each missing row.
FIRST_YIELD = 0.5
LEAST_YIELD = 0.05
EXAMPLES_PER_SEED_AT_MOST = 100


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

    @property
    def summary(self) -> str:
        """The result as text; says why if the target was missed."""
        done = f"{self.accepted} of {self.target} rows after {self.rounds} rounds"
        if self.accepted >= self.target:
            return done
        lost = self.lost + Counter({"duplicates": self.copies})
        reasons = "; ".join(f"{reason} {count}" for reason, count in lost.most_common(4))
        return f"{done} and {self.written} examples. Lost to: {reasons or 'no seeds left'}"


def generate_until(
    spec: SubtaskSpec,
    seeds: Sequence[Example],
    desks: Mapping[Role, Desk],
    usage: Usage,
    writer_knobs: WriterKnobs,
    solver_knobs: SolverKnobs,
    thresholds: Thresholds,
    report: TargetReport,
    *,
    heldout: Gate | None = None,
    judge: Judge | None = None,
    max_rounds: int = 5,
    concurrency: int | None = None,
    on_progress: Callable[[int, Usage], None] | None = None,
) -> Iterator[GeneratedExample | Rejection]:
    """Writes examples until enough of them pass the gates, or `max_rounds` is reached.

    Args:
        spec: The subtask.
        seeds: The subtask's normalized examples. Each is the anchor equally often.
        desks: The desks of the writer, the solver, and the judge if there is one.
        usage: Filled with the usage of all roles.
        writer_knobs: The writer's settings. `examples_per_seed` is raised as needed.
        solver_knobs: The solver's settings, as in `enriched`.
        thresholds: The thresholds of the gates of `filtered`.
        report: Filled round by round. `report.target` is the requested number of rows.
        heldout: The contamination gate, as in `filtered`.
        judge: The judge, as in `enriched`; None for none.
        max_rounds: The maximum number of rounds.
        concurrency: Pieces of work in progress at a time; None: what the teachers can hold.
        on_progress: Called after each round with the number of accepted rows and the usage.

    Yields:
        The results of `generate`, round by round.
    """
    knobs = replace(writer_knobs, examples_per_seed=EXAMPLES_PER_SEED_AT_MOST)
    works = generate(spec, seeds, desks[Role.WRITER].teacher, knobs, thresholds, round_robin=True)
    gates = row_gates(thresholds, heldout)
    sets, passed = set_gates(thresholds, lambda: seeds), 0
    while report.accepted < report.target and report.rounds < max_rounds:
        missing = report.target - report.accepted
        rate = report.accepted / report.written if report.written else FIRST_YIELD
        batch = itertools.islice(works, ceil(missing / max(rate, LEAST_YIELD)))
        round_usage = Usage()
        written = list(converse(batch, desks, round_usage, concurrency=concurrency))
        usage.merge(round_usage)
        if not written:
            return
        report.rounds += 1
        report.written += len(written)
        report.lost.update(f"{r.gate}: {r.reason}" for r in written if isinstance(r, Rejection))
        examples = [row for row in written if isinstance(row, GeneratedExample)]
        round_usage = Usage()
        solving = enrich(
            examples, desks[Role.SOLVER].teacher, solver_knobs, judge, thresholds=thresholds
        )
        solved = converse(solving, desks, round_usage, concurrency=concurrency)
        for rows in chunked(_accepted(solved, report), ROWS_PER_BATCH):
            refused = first_refusals(rows, gates)
            report.lost.update(f"{r.gate}: {r.reason}" for r in refused.values())
            for over_set in sets:
                over_set.add([row for place, row in enumerate(rows) if place not in refused])
            passed += len(rows) - len(refused)
        report.copies = len({place for over_set in sets for place in over_set.refusals()})
        report.accepted = passed - report.copies
        usage.merge(round_usage)
        if on_progress:
            on_progress(report.accepted, usage)
        yield from written


def _accepted(
    rows: Iterable[EnrichedExample | Rejection], report: TargetReport
) -> Iterator[EnrichedExample]:
    for row in rows:
        if isinstance(row, Rejection):
            report.lost[f"{row.gate}: {row.reason}"] += 1
        else:
            yield row
