"""Several processes fill one partition; a run in Dagster publishes it and asks for nothing more."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.cluster.fill_report import VARIABLE, FillReport
from sdg_assets.records import EnrichedExample, Example, GeneratedExample
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.assets.quiz import put_rows, quiz
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.command import PROGRAM, sdg
from sdg_assets_tests.support.pushgateway import Gateway, pushgateway, total
from sdg_assets_tests.support.runs import failures, run
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

ROWS, PROCESSES = 24, 3
PATIENCE = 60.0


class Choosy(TeacherServer):
    """Finds every prompt with a certain text too long."""

    too_long = ""

    def refusal(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.too_long and self.too_long in body["messages"][-1]["content"]:
            message = "This model's maximum context length is 512 tokens, your prompt has 600"
            return {"error": {"message": message, "code": "context_length_exceeded"}}
        return super().refusal(body)


@pytest.fixture
def teacher() -> Iterator[Choosy]:
    with teacher_server(Choosy()) as server:
        yield server


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with pushgateway() as receiver:
        yield receiver


@pytest.fixture
def normalized(
    tmp_path: Path, configure: Configure, teacher: TeacherServer, instance: dg.DagsterInstance
) -> None:
    """A subtask whose seeds are normalized."""
    mirror = quiz(tmp_path, configure, "quiz_a")
    put_rows(mirror, "quiz_a", ROWS)
    configure(teacher=teacher.url, shots=1)
    run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)


def fill_on(count: int, stage: str) -> list[subprocess.Popen[str]]:
    """Starts the processes, all at once."""
    return [
        subprocess.Popen(
            [*PROGRAM, "fill", "quiz", "--stage", stage, "--of", str(count), "--index", str(index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]


def rows(store: Store, stage: str) -> list[str]:
    record = GeneratedExample if stage == "generated" else EnrichedExample
    key = PartitionKey("quiz", stage, "quiz_a")
    return [row.model_dump_json() for row in store.read(key, record)]


@pytest.mark.usefixtures("normalized")
def test_several_processes_make_what_one_makes_and_ask_nothing_twice(
    store: Store,
    tmp_path: Path,
    configure: Configure,
    teacher: TeacherServer,
    instance: dg.DagsterInstance,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for stage in ("generated", "enriched"):
        monkeypatch.setenv("SDG_METRICS_PUSH", gateway.url)
        monkeypatch.setenv("FILL_RUN", "run-1")
        processes = fill_on(PROCESSES, stage)
        outputs = [process.communicate(timeout=PATIENCE) for process in processes]
        monkeypatch.delenv("SDG_METRICS_PUSH")
        group = f"/metrics/job/sdg/index/%s/run/run-1/step/quiz__{stage}"
        counts = [gateway.last(group % index) for index in range(PROCESSES)]
        answered = sum(total(each, "sdg_completions_total", stage=stage) for each in counts)
        assert answered == sum(int(re.findall(r"(\d+) requests", out)[0]) for out, _ in outputs)
        assert [process.returncode for process in processes] == [0] * PROCESSES, outputs
        assert all("requests answered" in out for out, _ in outputs)
        result = run("quiz", [stage], subtasks="quiz_a", instance=instance)
        assert not failures(result)
    shared = {stage: rows(store, stage) for stage in ("generated", "enriched")}

    asked = teacher.asked.copy()
    assert len(shared["enriched"]) == ROWS

    configure(store=tmp_path / "alone")
    with dg.DagsterInstance.ephemeral() as other:
        result = run(
            "quiz",
            ["seeds", "normalized", "generated", "enriched"],
            subtasks="quiz_a",
            instance=other,
        )
    assert not failures(result)
    alone = Store(tmp_path / "alone")
    assert {stage: rows(alone, stage) for stage in shared} == shared
    # A question may look the same to two votes; one process asks as often.
    assert teacher.asked - asked == asked


@pytest.mark.usefixtures("normalized")
def test_a_killed_process_is_started_again_and_asks_only_for_what_it_has_not_kept(
    store: Store, teacher: TeacherServer, instance: dg.DagsterInstance, configure: Configure
) -> None:
    configure(concurrency=1)  # so that a share takes seconds, and the signal comes in between
    teacher.seconds = 0.2
    processes = fill_on(2, "generated")
    while not sum(teacher.answered.values()):
        time.sleep(0.05)
    processes[0].send_signal(signal.SIGTERM)
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]

    assert [process.returncode for process in processes] == [128 + signal.SIGTERM, 0], outputs
    assert "all answers so far are kept" in outputs[0][1]
    answered = sum(teacher.answered.values())
    (again, _) = fill_on(2, "generated")
    _, errors = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, errors
    # What was under way when the signal came may have been answered to nobody.
    assert sum(teacher.answered.values()) - answered < ROWS
    assert not failures(run("quiz", ["generated"], subtasks="quiz_a", instance=instance))
    assert len(rows(store, "generated")) == ROWS


@pytest.mark.usefixtures("normalized")
def test_a_job_that_numbers_its_pods_needs_no_index(
    monkeypatch: pytest.MonkeyPatch, teacher: TeacherServer
) -> None:
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")

    done = sdg("fill", "quiz/quiz_a", "--stage", "generated", "--of", "2")

    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("quiz/quiz_a, share 1 of 2: ")
    assert 0 < len(teacher.asked) < ROWS


@pytest.mark.usefixtures("normalized")
def test_an_element_of_an_array_job_asks_for_everything_only_if_it_says_so(
    monkeypatch: pytest.MonkeyPatch, teacher: TeacherServer
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "5")
    command = ("fill", "quiz/quiz_a", "--stage", "generated")

    unsaid = sdg(*command)

    assert unsaid.exit_code == 2
    assert unsaid.stderr.startswith("error: index 5 (--index, JOB_COMPLETION_INDEX or SLURM_ARRAY")
    assert not teacher.asked
    assert sdg(*command, "--of", "1").exit_code == 0
    assert len(teacher.asked) == ROWS


@pytest.mark.usefixtures("normalized")
def test_processes_that_name_one_budget_spend_it_together_and_a_run_goes_on_from_there(
    teacher: TeacherServer,
    instance: dg.DagsterInstance,
    configure: Configure,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    configure(concurrency=1)
    command = ("fill", "quiz", "--stage", "generated", "--max-tokens", "100", "--budget", "both")

    first = sdg(*command)
    asked = len(teacher.asked)
    second = sdg(*command)

    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr
    assert f"the budget of tokens is used up, {ROWS - asked} rows are not finished" in first.stdout
    assert "0 requests answered" in second.stdout
    assert 0 < len(teacher.asked) == asked < ROWS
    alone = sdg("fill", "quiz", "--stage", "generated", "--budget", "both")
    assert alone.stderr.startswith("error: --budget both without --max-tokens")

    # As the pod that publishes a divided step: it asks nothing, and knows why answers are missing.
    monkeypatch.setenv(VARIABLE, FillReport(job="job", of=2).model_dump_json())
    tags = {"dagster/backfill": "both", "sdg/max_tokens": "100"}
    result = run("quiz", ["generated"], subtasks="quiz_a", instance=instance, tags=tags)
    assert not failures(result)
    assert len(teacher.asked) == len(rows(store, "generated")) == asked

    monkeypatch.delenv(VARIABLE)
    assert not failures(run("quiz", ["generated"], subtasks="quiz_a", instance=instance))
    assert len(teacher.asked) == len(rows(store, "generated")) == ROWS


@pytest.mark.usefixtures("normalized")
def test_a_prompt_that_the_server_found_too_long_costs_one_row_of_a_divided_step(
    teacher: Choosy,
    store: Store,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (seed, *_) = store.read(PartitionKey("quiz", "normalized", "quiz_a"), Example)
    teacher.too_long = seed.question
    filled = sdg("fill", "quiz", "--stage", "generated")
    assert filled.exit_code == 0, filled.stderr

    monkeypatch.setenv(VARIABLE, FillReport(job="job", of=2).model_dump_json())
    result = run("quiz", ["generated"], subtasks="quiz_a", instance=instance)

    assert not failures(result)
    assert len(rows(store, "generated")) == ROWS - 1
    (refused,) = store.read_rejected(PartitionKey("quiz", "generated", "quiz_a"))
    assert refused.reason == "too long"


@pytest.mark.usefixtures("normalized")
def test_the_knobs_are_those_of_the_run_that_publishes(teacher: TeacherServer) -> None:
    done = sdg("fill", "quiz", "--stage", "generated", "--examples-per-seed", "2")

    assert done.exit_code == 0, done.stderr
    assert len(teacher.asked) == 2 * ROWS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--stage", "filtered"), "--stage 'filtered': must be generated or enriched"),
        (("--stage", "generated", "--of", "4"), "--of 4 without --index: say which of the 4"),
        (
            ("--stage", "generated", "--index", "3"),
            "index 3 (--index, JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID) without --of: say how",
        ),
        (
            ("--stage", "generated", "--of", "4", "--index", "4"),
            "index 4 of 4: the indexes are 0 to 3",
        ),
        (
            ("--stage", "enriched", "--votes", "500"),
            "--votes 500: must be between 1 and 99",
        ),
        (
            ("--stage", "generated", "--examples-per-seed", "20000"),
            "--examples-per-seed 20000: must be between 1 and 1000",
        ),
        (
            ("--stage", "enriched", "--examples-per-seed", "2"),
            "--examples-per-seed is no knob of this stage",
        ),
    ],
)
def test_what_cannot_be_filled_is_one_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path, configure: Configure
) -> None:
    quiz(tmp_path, configure, "quiz_a")

    done = sdg("fill", "quiz", *arguments)

    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {message}")


def test_a_subtask_that_has_no_seeds_fails_alone(
    store: Store,
    tmp_path: Path,
    configure: Configure,
    teacher: TeacherServer,
    instance: dg.DagsterInstance,
) -> None:
    quiz(tmp_path, configure, "quiz_a", "quiz_b")
    configure(teacher=teacher.url, shots=1)
    run("quiz", ["seeds", "normalized"], subtasks="quiz_b", instance=instance)

    done = sdg("fill", "quiz", "--stage", "generated")

    assert done.exit_code == 2
    assert "quiz/quiz_a: " in done.stderr
    assert done.stderr.endswith("1 of 2 subtasks failed\n")
    assert done.stdout.startswith("quiz/quiz_b, share 0 of 1: 4 requests answered")


def test_a_teacher_that_is_gone_may_come_back(
    tmp_path: Path, configure: Configure, teacher: TeacherServer, instance: dg.DagsterInstance
) -> None:
    quiz(tmp_path, configure, "quiz_a")
    configure(teacher=teacher.url, shots=1)
    run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)
    configure(teacher="http://127.0.0.1:9")

    done = sdg("fill", "quiz", "--stage", "generated")

    assert done.exit_code == 1
    assert "quiz/quiz_a: " in done.stderr


@pytest.mark.usefixtures("normalized")
def test_a_long_one_says_how_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdg_assets.cli.fill.NOTE_SECONDS", 0.0)

    done = sdg("fill", "quiz", "--stage", "generated")

    assert f"quiz/quiz_a: {ROWS} rows done, " in done.stderr
    assert done.exit_code == 0
