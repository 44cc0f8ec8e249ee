"""Votes of a real solver on rows whose answers are known: are they read, right, and explained?

    python -m sdg_assets_tests.benchmarks.votes [--rows 100] [--compared 100] [--report FILE]

Mirrored rows are normalized as the pipeline does it, and voted on as `enriched` does it: in the
form that it chooses and, for comparison, in the other form. It takes many rows to compare them:
with 20 a dataset the other form had one more majority right of 60, with 100 it had 18 fewer of 300.
All rows enter the engine together. Completions are kept in a log (`--log`), so that a run after a
change of the reading, or of the traces, asks for nothing. Prints Markdown, and fails if a goal is
missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import get_args

from sdg_assets.catalog import load_catalog
from sdg_assets.enrichment.ballot import Ballot
from sdg_assets.enrichment.forms import vote_form
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.enrichment.reading import first_that_reads_well
from sdg_assets.enrichment.traces import candidates
from sdg_assets.enrichment.votes import (
    decide,
    decided,
    read_ballot,
    sameness,
    tally,
    vote_request,
    waves,
)
from sdg_assets.gates import text_gates
from sdg_assets.kinds import VoteForm
from sdg_assets.records import GeneratedExample, Role
from sdg_assets.teacher.conversation import Desk, Usage, Work
from sdg_assets.teacher.requests import Teacher
from sdg_assets.teacher.stream import converse
from sdg_assets.thresholds import DEFAULTS
from sdg_assets_tests.benchmarks import mirror
from sdg_assets_tests.support.records import generated

SUBTASKS = {
    "gsm8k": ("gsm8k/gsm8k",),  # the longest votes first: the others run beside them
    "arc": ("arc/arc_easy", "arc/arc_challenge"),
    "boolq": ("boolq/boolq",),
    "commonsense_qa": ("commonsense_qa/commonsense_qa",),
}
"""Dataset → subtasks; its rows are drawn from them in equal parts."""
MOST_UNREAD = 0.02
LEAST_KEPT = 0.8
TRACES_IN_REPORT = 30


@dataclass(frozen=True)
class Solved:
    """One row, the votes on it in one form, and what became of them."""

    dataset: str
    form: VoteForm
    is_chosen: bool
    """Whether the pipeline votes in this form."""
    row: GeneratedExample
    ballots: Sequence[Ballot]
    is_right: bool
    trace: str


@dataclass
class Score:
    """Counts over rows."""

    rows: int = 0
    votes: int = 0
    unread: int = 0
    cut_off: int = 0
    right: int = 0
    kept: int = 0
    tokens: int = 0

    def add(self, solved: Solved) -> None:
        """Counts one row."""
        self.rows += 1
        self.votes += len(solved.ballots)
        self.unread += sum(ballot.answer is None for ballot in solved.ballots)
        self.cut_off += sum(b.completion.finish_reason != "stop" for b in solved.ballots)
        self.right += solved.is_right
        self.kept += bool(solved.trace)
        self.tokens += sum(ballot.completion.output_tokens for ballot in solved.ballots)

    @property
    def unread_share(self) -> float:
        """Share of votes without a readable answer."""
        return self.unread / max(1, self.votes)

    @property
    def accuracy(self) -> float:
        """Share of rows whose majority gives the known answer."""
        return self.right / max(1, self.rows)

    @property
    def kept_share(self) -> float:
        """Share of verified rows with a kept trace."""
        return self.kept / max(1, self.right)


def main() -> int:
    """Votes on all rows and prints the scores."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--teacher", default="qwen2.5-coder-1.5b")
    parser.add_argument("--rows", type=int, default=100, help="rows a dataset")
    parser.add_argument("--votes", type=int, default=SolverKnobs.votes)
    parser.add_argument("--compared", type=int, default=100, help="of these also in the other form")
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / "votes-benchmark")
    parser.add_argument("--report", type=Path, help="file for a sample of the kept traces")
    options = parser.parse_args()
    os.environ["SDG_TEACHER"] = options.teacher
    knobs = SolverKnobs(votes=options.votes)
    solved = solve(options.rows, options.compared, knobs, options.log)
    if options.report:
        options.report.write_text(traces_to_read(solved), "utf-8")
    return judged(solved)


def rows_of(dataset: str, count: int) -> list[GeneratedExample]:
    """The first rows of a dataset that can be voted on."""
    rows: list[GeneratedExample] = []
    catalog = load_catalog()
    for at, name in enumerate(SUBTASKS[dataset]):
        spec = catalog.subtask(*name.split("/"))
        share = count * (at + 1) // len(SUBTASKS[dataset]) - len(rows)
        # The mirror holds few training rows of boolq.
        splits = (spec.split, *spec.heldout_splits)
        examples = chain.from_iterable(mirror.examples(spec, split) for split in splits)
        rows += [generated(**dict(example)) for example in islice(examples, share)]
    return rows


def solve(count: int, compared: int, knobs: SolverKnobs, log_folder: Path) -> list[Solved]:
    """Votes on all rows, and on the first ones in both forms, as one stream."""
    from sdg_assets.settings import settings
    from sdg_assets.teacher import open_teacher
    from sdg_assets.teacher.log.completions import CompletionLog

    solver = open_teacher(settings(), Role.SOLVER)
    works = (
        _voted(dataset, row, form, solver, knobs)
        for dataset in SUBTASKS
        for place, row in enumerate(rows_of(dataset, count))
        for form in forms_of(row, solver, both=place < compared)
    )
    usage = Usage()

    def progress(rows: int, _: Usage) -> None:
        if rows % 50 == 0:
            print(f"{rows} rows, {usage.tokens_per_second:.0f} tokens/s", file=sys.stderr)

    with CompletionLog(log_folder / f"{solver.identity.fingerprint}.jsonl") as log:
        desks = {Role.SOLVER: Desk(solver, log)}
        solved = list(converse(works, desks, usage, concurrency=10**6, on_progress=progress))
    print(
        f"{solver.identity.stamp.model}, {knobs.votes} votes; {usage.requests} requests, "
        f"{usage.reused} more from the log; {usage.output_tokens} tokens in {usage.seconds:.0f} s\n"
    )
    return solved


def forms_of(row: GeneratedExample, solver: Teacher, *, both: bool) -> Iterator[VoteForm]:
    """The form in which the pipeline votes on a row, and the other one if there is one."""
    chosen = vote_form(row.answer_kind, solver.identity.teacher_class)
    yield chosen
    if both and row.answer_kind.selects:
        yield from (form for form in get_args(VoteForm) if form != chosen)


def _voted(
    dataset: str, row: GeneratedExample, form: VoteForm, solver: Teacher, knobs: SolverKnobs
) -> Work[Solved]:
    ballots: list[Ballot] = []
    same = sameness(row)
    for wave in waves(knobs):
        asked = [vote_request(row, number, solver, knobs, form) for number in wave]
        completions = yield [request for _, request in asked]
        ballots += [
            read_ballot(completion, presented)
            for (presented, _), completion in zip(asked, completions, strict=True)
        ]
        groups = tally(row.answer, [ballot.answer for ballot in ballots], same)
        if decided(row.answer, groups, len(ballots), knobs, same):
            break
    is_right = decide(row.answer, groups, knobs.votes, knobs.majority, same) == "agreed"
    agreeing = [b for b in ballots if b.answer is not None and same(b.answer, row.answer)]
    traces = candidates(agreeing, row) if is_right else []
    (trace,) = first_that_reads_well([(row, traces)], text_gates(DEFAULTS))
    is_chosen = form == vote_form(row.answer_kind, solver.identity.teacher_class)
    return Solved(dataset, form, is_chosen, row, ballots, is_right, trace)


def judged(solved: Sequence[Solved]) -> int:
    """Prints the scores by dataset and form, and the goals; 1 if one is missed."""
    print(
        "| dataset | form | rows | votes unread | of these cut off | majority right "
        "| verified rows with a trace | tokens a vote |\n|---|---|---:|---:|---:|---:|---:|---:|"
    )
    scores: dict[tuple[str, VoteForm], Score] = {}
    pipeline, chosen, other = Score(), Score(), Score()
    is_compared = {row.row.id for row in solved if not row.is_chosen}
    for row in solved:
        scores.setdefault((row.dataset, row.form), Score()).add(row)
        if row.is_chosen:
            pipeline.add(row)
        if row.row.id in is_compared:
            (chosen if row.is_chosen else other).add(row)
    for (dataset, form), score in scores.items():
        print(_line(dataset, form, score))
    print(_line("**all**", "as the pipeline chooses", pipeline))
    print(_line("compared", "as the pipeline chooses", chosen))
    print(_line("compared", "the other form", other), "\n")
    goals = {
        f"votes unread: {pipeline.unread_share:.1%}, at most {MOST_UNREAD:.0%}": (
            pipeline.unread_share <= MOST_UNREAD
        ),
        f"verified rows with a trace: {pipeline.kept_share:.1%}, at least {LEAST_KEPT:.0%}": (
            pipeline.kept_share >= LEAST_KEPT
        ),
        f"majority right: {chosen.accuracy:.1%}, in the other form {other.accuracy:.1%}": (
            chosen.accuracy >= other.accuracy
        ),
    }
    for goal, is_met in goals.items():
        print(f"- {'met' if is_met else 'MISSED'}: {goal}")
    return 0 if all(goals.values()) else 1


def _line(dataset: str, form: str, score: Score) -> str:
    columns = (
        dataset,
        form,
        score.rows,
        f"{score.unread_share:.1%}",
        score.cut_off,
        f"{score.accuracy:.1%}",
        f"{score.kept_share:.1%}",
        f"{score.tokens / max(1, score.votes):.0f}",
    )
    return f"| {' | '.join(map(str, columns))} |"


def traces_to_read(solved: Sequence[Solved]) -> str:
    """Kept traces of the pipeline's own form, spread evenly over all rows, as Markdown."""
    kept = [row for row in solved if row.trace and row.is_chosen]
    step = max(1, len(kept) / TRACES_IN_REPORT)
    chosen = [kept[int(at * step)] for at in range(min(TRACES_IN_REPORT, len(kept)))]
    return "\n\n".join(_entry(number, row) for number, row in enumerate(chosen, start=1)) + "\n"


def _entry(number: int, solved: Solved) -> str:
    row = solved.row
    choices = f"\nOptions: {'; '.join(row.choices)}" if row.choices else ""
    return (
        f"## {number}. {solved.dataset}, {solved.form}\n\n{row.question}{choices}\n"
        f"Answer: {row.answer}\n\n> " + solved.trace.replace("\n", "\n> ")
    )


if __name__ == "__main__":
    sys.exit(main())
