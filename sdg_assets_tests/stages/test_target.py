from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.records import Example, GeneratedExample, Rejection, Role
from sdg_assets.stages import target
from sdg_assets.stages.enriched import enrich
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.target import TargetReport, write_until
from sdg_assets.store import row_file
from sdg_assets.teacher.control_tokens import ControlTokens
from sdg_assets.teacher.conversation import Desk, Feed, Usage
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.requests import Request
from sdg_assets.teacher.stream import converse, fill
from sdg_assets.thresholds import Thresholds
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.memory import bytes_a_row
from sdg_assets_tests.support.records import example
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher

SPEC = seed_task().resolve("quiz")
SEEDS = [example(question=f"What is the capital of land {number}?") for number in range(10)]
VOTES = SolverKnobs(votes=3, with_knowledge=False)
THRESHOLDS = Thresholds()


def teacher(accepted_every: int) -> ScriptedTeacher:
    """A writer and solver: the solver agrees with every n-th example of the writer."""
    numbers = count(1)

    def answer(request: Request) -> str:
        if request.role is Role.WRITER:
            question = f"Which river has the number {next(numbers)} in the list?"
            return json.dumps(
                {"question": question, "answer": "Nile", "wrong_answers": ["Rhine", "Volga", "Po"]}
            )
        number = int(request.messages[-1].content.split("number ")[1].split()[0])
        return f"Answer: {'Nile' if number % accepted_every == 0 else 'Po'}"

    return ScriptedTeacher(answer, per_poll=8)


@contextmanager
def desks(folder: Path, scripted: ScriptedTeacher) -> Iterator[dict[Role, Desk]]:
    with CompletionLog(folder / "writer") as writer, CompletionLog(folder / "solver") as solver:
        yield {Role.WRITER: Desk(scripted, writer), Role.SOLVER: Desk(scripted, solver)}


def fill_until(
    desks: Mapping[Role, Desk],
    report: TargetReport,
    max_rounds: int = 5,
    on_progress: Callable[[int, Usage], None] | None = None,
    seeds: Sequence[Example] = SEEDS,
    most_written: int | None = None,
) -> None:
    teachers = {role: desk.teacher for role, desk in desks.items()}
    works = write_until(
        SPEC,
        seeds,
        teachers,
        WriterKnobs(),
        VOTES,
        THRESHOLDS,
        report,
        max_rounds=max_rounds,
        most_written=most_written,
    )
    (feed,) = fill([Feed(works, desks, Usage(), on_progress)])
    assert feed.error is None


def rows_until(
    desks: Mapping[Role, Desk], report: TargetReport, max_rounds: int = 5
) -> list[GeneratedExample | Rejection]:
    fill_until(desks, report, max_rounds)
    return list(report.rows)


def test_rounds_go_on_until_the_target_is_reached_and_no_further(tmp_path: Path) -> None:
    report = TargetReport(target=12)
    with desks(tmp_path, teacher(accepted_every=4)) as both:
        rows = list(rows_until(both, report, max_rounds=9))

    assert report.accepted >= 12
    assert 2 <= report.rounds <= 6
    assert len(rows) == report.written < 120
    assert report.summary.startswith(f"{report.accepted} of 12 rows after {report.rounds} rounds")


def test_a_missed_target_says_why_rows_were_lost(tmp_path: Path) -> None:
    report = TargetReport(target=5)
    with desks(tmp_path, teacher(accepted_every=10_000)) as both:
        list(rows_until(both, report, max_rounds=2))

    assert (report.accepted, report.rounds) == (0, 2)
    assert f"Lost to: verification: majority disagrees {report.written}" in report.summary


def test_every_seed_is_anchor_before_any_is_again(tmp_path: Path) -> None:
    report = TargetReport(target=4)
    with desks(tmp_path, teacher(accepted_every=1)) as both:
        rows = rows_until(both, report)
        anchors = [row.seed_ids[0] for row in rows if isinstance(row, GeneratedExample)]

    assert anchors == [seed.id for seed in SEEDS[: len(anchors)]]


def test_refused_seeds_are_no_examples(tmp_path: Path) -> None:
    """A pilot of 16 examples wrote none where 20 seeds had a control token."""
    control = [example(question=f"What is </s> number {number}?") for number in range(20)]
    scripted, report = teacher(accepted_every=1), TargetReport(target=4)
    scripted.control_tokens = ControlTokens(["</s>"])
    with desks(tmp_path, scripted) as both:
        fill_until(both, report, seeds=[*control, *SEEDS], most_written=4)

    assert (report.accepted, report.written) == (4, 4)
    refused = [row for row in report.rows if isinstance(row, Rejection)]
    assert len(refused) == report.lost["generation: control token in the seed"] == 20


def test_enriched_finds_the_votes_in_the_log(tmp_path: Path) -> None:
    scripted = teacher(accepted_every=2)
    with desks(tmp_path, scripted) as both:
        rows = list(rows_until(both, TargetReport(target=6)))
        sent = len(scripted.requests)
        examples = [row for row in rows if isinstance(row, GeneratedExample)]
        usage = Usage()
        list(converse(enrich(examples, scripted, VOTES), both, usage))

    assert len(scripted.requests) == sent
    assert usage.reused > 0


def test_drafts_wait_in_files_and_results_only_for_the_first_that_is_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "ROWS_PER_BATCH", 8)
    monkeypatch.setattr(target, "UNFINISHED_AT_MOST", 16)
    monkeypatch.setattr(row_file, "CACHED_ROWS", 8)

    def accept(rows: int) -> None:
        scripted, report = teacher(accepted_every=1), TargetReport(target=rows)
        with TemporaryDirectory(dir=tmp_path) as folder, desks(Path(folder), scripted) as both:
            fill_until(both, report, on_progress=lambda *_: scripted.requests.clear())
        assert sum(1 for _ in report.rows) >= report.accepted >= rows

    assert bytes_a_row(accept, 25) < 5000
