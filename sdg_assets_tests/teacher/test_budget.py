"""A budget of tokens ends the work of a stream, and processes that share it know of each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdg_assets.errors import PermanentError, StoreError
from sdg_assets.records import Role
from sdg_assets.store.objects import Listed
from sdg_assets.store.places import place_of
from sdg_assets.teacher.budget import Budget
from sdg_assets.teacher.conversation import Desk, Feed, Usage, Work
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.replay import replay
from sdg_assets.teacher.requests import Message
from sdg_assets.teacher.stream import fill
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher

TOKENS = 9
"""Tokens of each request below: four of the prompt and five of the answer."""


def two_questions(teacher: ScriptedTeacher, number: int) -> Work[int]:
    for question in ("first", "second"):
        text = f"the {question} of {number}"
        yield [request_of(teacher.identity, [Message(role="user", content=text)])]
    return number


def rows(teacher: ScriptedTeacher, count: int = 20) -> Iterator[Work[int]]:
    return (two_questions(teacher, number) for number in range(count))


def filled(teacher: ScriptedTeacher, log: CompletionLog, budget: Budget | None) -> Usage:
    usage, desks = Usage(), {Role.WRITER: Desk(teacher, log)}
    (feed,) = fill([Feed(rows(teacher), desks, usage, budget=budget)])
    assert feed.error is None
    return usage


@pytest.fixture
def teacher() -> ScriptedTeacher:
    return ScriptedTeacher(lambda _: "one two three four five", gpus=2)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[CompletionLog]:
    with CompletionLog(tmp_path / "log") as opened:
        yield opened


def test_no_request_is_sent_once_the_budget_is_used_up_and_whole_rows_are_kept(
    tmp_path: Path, teacher: ScriptedTeacher, log: CompletionLog
) -> None:
    with Budget(tmp_path, "run", 100) as budget:
        usage = filled(teacher, log, budget)

    assert 100 <= budget.spent < 100 + 4 * TOKENS, "few requests are under way at the end"
    assert budget.spent == TOKENS * len(teacher.requests) == TOKENS * usage.requests
    whole = list(replay(rows(teacher), {Role.WRITER: log.answers()}, skips_unanswered=True))
    assert 0 < len(whole) == 20 - usage.unfinished
    with pytest.raises(StoreError, match="has no completion"):
        list(replay(rows(teacher), {Role.WRITER: log.answers()}))


def test_what_the_log_has_costs_nothing_and_a_larger_budget_goes_on_from_there(
    tmp_path: Path, teacher: ScriptedTeacher, log: CompletionLog
) -> None:
    with Budget(tmp_path, "first", 100) as first:
        before = filled(teacher, log, first)
    with Budget(tmp_path, "second", 10_000) as second:
        usage = filled(teacher, log, second)

    assert usage.unfinished == 0
    assert before.requests + usage.requests == len(teacher.requests) == 40
    assert second.spent == TOKENS * usage.requests
    assert usage.reused == before.requests


def test_processes_with_one_budget_know_what_the_others_have_spent(
    tmp_path: Path, teacher: ScriptedTeacher, log: CompletionLog
) -> None:
    with Budget(tmp_path, "backfill", 100) as first:
        filled(teacher, log, first)
    other, another = ScriptedTeacher(lambda _: "late"), Budget(tmp_path, "backfill", 100)
    with CompletionLog(tmp_path / "other") as other_log, another:
        usage = filled(other, other_log, another)

    assert another.spent == first.spent
    assert (other.requests, usage.unfinished) == ([], 20)
    assert Budget(tmp_path, "another-backfill", 100).spent == 0


def test_processes_know_of_each_other_in_a_bucket_too(
    bucket: str, teacher: ScriptedTeacher, log: CompletionLog
) -> None:
    place = place_of(bucket)
    with Budget(place, "backfill", 100) as first:
        filled(teacher, log, first)

    assert Budget(place, "backfill", 100).spent == first.spent >= 100


def test_files_of_processes_that_have_ended_are_not_read_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "budgets" / "backfill"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"ended{number}").write_text("10")
    read, reading = list[str](), Budget._tokens_in

    def noted(budget: Budget, file: Listed) -> int:
        read.append(file.name)
        return reading(budget, file)

    monkeypatch.setattr(Budget, "_tokens_in", noted)
    budget = Budget(tmp_path, "backfill", 1000)
    budget.sync()
    assert len(read) == 60, "once more, because it may have been written twice within a second"

    (folder / "alive").write_text("7")
    budget.sync()
    (folder / "alive").write_text("99")
    budget.sync()

    assert read[60:] == ["alive", "alive"]
    assert budget.spent == 30 * 10 + 99


def test_a_prompt_that_is_too_long_costs_nothing(tmp_path: Path, log: CompletionLog) -> None:
    small = ScriptedTeacher(lambda _: "never", max_model_len=4)
    with Budget(tmp_path, "run", 100) as budget:
        usage = filled(small, log, budget)

    assert (budget.spent, usage.unfinished) == (0, 0)
    assert usage.roles[Role.WRITER].new.prompt_tokens == 0


def test_a_damaged_entry_and_a_name_that_is_no_folder_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "budgets" / "run").mkdir(parents=True)
    (tmp_path / "budgets" / "run" / "entry").write_text("many")
    with pytest.raises(StoreError, match="entry: holds no number of tokens; delete it"):
        Budget(tmp_path, "run", 100)
    with pytest.raises(PermanentError, match="give a name of 1 to 100 letters"):
        Budget(tmp_path, "../run", 100)


def test_the_time_of_the_gpus_is_divided_among_the_answers(
    tmp_path: Path, teacher: ScriptedTeacher, log: CompletionLog
) -> None:
    usage = filled(teacher, log, None)

    measured = usage.roles[Role.WRITER].new.gpu_seconds
    assert measured is not None
    assert 0 < measured <= 2 * usage.seconds + 0.01
    again = filled(teacher, log, None)
    assert again.roles[Role.WRITER].kept.gpu_seconds == pytest.approx(measured, abs=0.01)
    behind_a_server = ScriptedTeacher(lambda _: "x")
    with CompletionLog(tmp_path / "server") as other:
        assert filled(behind_a_server, other, None).roles[Role.WRITER].new.gpu_seconds is None
