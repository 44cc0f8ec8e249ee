"""Ctrl-C, SIGTERM and Terminate end a run at any moment, and the event log says what ended it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import listing, write_atomic
from sdg_assets.teacher import stopping
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets_tests.assets.quiz import quiz
from sdg_assets_tests.conftest import Configure, on_disk
from sdg_assets_tests.support.command import PROGRAM
from sdg_assets_tests.support.runs import failures, materialized, metadata, run
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

SUBTASKS = ("quiz_a", "quiz_b", "quiz_c")
PATIENCE = 120.0
"""Seconds that a program may take to reach the expected state, on a busy machine."""
HANGS = 60.0
"""Seconds that the teacher is silent: a run that takes longer was not ended."""
GENERATE = """
import dagster as dg
from sdg_assets_tests.support.command import PROGRAM
from sdg_assets_tests.support.runs import run
with dg.DagsterInstance.get() as instance:
    run("quiz", ["generated"], subtasks=("quiz_a", "quiz_c"), instance=instance)
"""
# With Dagster's own command, and the executor of the settings.
MATERIALIZE = [
    "-m", "dagster", "asset", "materialize", "-m", "sdg_assets.definitions",
    "--select", 'key:"quiz/generated"', "--partition", "quiz_a",
]  # fmt: skip


class Silent(TeacherServer):
    """Answers the first partition and two requests of the second, then nothing."""

    def __init__(self, answers: int = 6) -> None:
        super().__init__()
        self.answers = answers
        self.silent = threading.Event()
        self._lock = threading.Lock()

    def complete(self, body: dict[str, Any]) -> str:
        with self._lock:
            self.answers -= 1
            left = self.answers
        if left < 0:
            self.silent.set()
            self.over.wait(HANGS)
        return super().complete(body)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance on disk, which programs find by DAGSTER_HOME."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", "utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture(scope="module")
def normalized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which the first test leaves a store with three normalized partitions."""
    return tmp_path_factory.mktemp("normalized") / "store"


@pytest.fixture
def prepared(
    tmp_path: Path, configure: Configure, home: dg.DagsterInstance, normalized: Path
) -> Configure:
    """A store with three normalized partitions."""
    quiz(tmp_path, configure, *SUBTASKS)
    configure(shots=1)
    if not normalized.exists():
        ends = (SUBTASKS[0], SUBTASKS[-1])
        with dg.DagsterInstance.ephemeral() as elsewhere:
            result = run("quiz", ["seeds", "normalized"], subtasks=ends, instance=elsewhere)
        assert result.success, failures(result)
        shutil.copytree(tmp_path / "store", normalized)
    else:
        shutil.copytree(normalized, tmp_path / "store")
    return configure


@pytest.fixture
def teacher(prepared: Configure) -> Iterator[Silent]:
    silent = Silent()
    with teacher_server(silent):
        prepared(teacher=silent.url)
        yield silent


class Program:
    """A program in its own process, and its output."""

    def __init__(self, output: Path, *arguments: str) -> None:
        self.output = output
        with output.open("wb") as out:
            self.process = subprocess.Popen([sys.executable, *arguments], stdout=out, stderr=out)

    def wait_until(self, ready: Callable[[], object]) -> None:
        patience = time.monotonic() + PATIENCE
        while not ready():
            assert self.process.poll() is None, self.text[-3000:]
            assert time.monotonic() < patience, self.text[-3000:]
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Sends the signal; the exit status, and the seconds that the program took to end."""
        began = time.monotonic()
        self.process.send_signal(number)
        try:
            return self.process.wait(HANGS / 2), time.monotonic() - began
        finally:
            self.process.kill()

    @property
    def text(self) -> str:
        return self.output.read_text("utf-8", "replace")


def answered(store: Store, subtask: str) -> int:
    logs = on_disk(store.completions_dir("quiz", subtask)).glob("writer-*.jsonl")
    return sum(len(log.read_bytes().splitlines()) for log in logs)


def newest(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return instance.get_runs(limit=1)[0]


def said(instance: dg.DagsterInstance) -> str:
    """All messages of the newest run in the event log."""
    lines = []
    for record in instance.all_logs(newest(instance).run_id):
        event = record.dagster_event
        lines += [record.user_message, event.message if event else None]
        error = getattr(event.event_specific_data, "error", None) if event else None
        while error:
            lines.append(error.message)
            error = error.cause
    return "\n".join(filter(None, lines))


def steps(instance: dg.DagsterInstance) -> list[str]:
    """The newest run's events about the start and end of steps."""
    kinds = ("STEP_START", "STEP_RESTARTED", "STEP_FAILURE", "STEP_UP_FOR_RETRY")
    events = (r.dagster_event for r in instance.all_logs(newest(instance).run_id))
    return [e.event_type_value for e in events if e and e.event_type_value in kinds]


@pytest.mark.parametrize("way", ["SIGTERM", "Terminate"])
def test_a_run_that_waits_for_its_teacher_ends_and_says_why(
    way: str, teacher: Silent, home: dg.DagsterInstance, store: Store, tmp_path: Path
) -> None:
    program = Program(tmp_path / "out", "-c", GENERATE)
    program.wait_until(lambda: teacher.silent.is_set() and answered(store, "quiz_b") == 2)
    # On a busy machine the first partition is still being published then.
    program.wait_until(lambda: re.search(r"quiz_a: \d+ rows", said(home)))
    if way == "Terminate":  # as Dagster's launcher does it
        home.report_run_canceling(newest(home))

    program.end(signal.SIGTERM if way == "SIGTERM" else signal.SIGINT)

    messages = {
        "SIGTERM": r"ended by SIGTERM \(an eviction, a shutdown or a kill\) while making quiz_b",
        "Terminate": "ended by a termination in Dagster while making quiz_b",
    }
    assert re.search(messages[way], said(home))
    assert "RetryRequested" not in said(home)
    assert steps(home) == ["STEP_START", "STEP_FAILURE"]
    statuses = dg.DagsterRunStatus
    assert newest(home).status is (statuses.CANCELED if way == "Terminate" else statuses.FAILURE)
    assert materialized(home, "quiz", "generated") == {"quiz_a"}
    assert answered(store, "quiz_b") == 2

    teacher.over.set()
    teacher.answers = 1000
    again = run("quiz", ["generated"], subtasks=("quiz_b", "quiz_c"), instance=home)
    assert again.success, failures(again)
    assert metadata(home, "quiz", "generated", "quiz_b")["teacher_requests_reused"] == 2


def test_a_step_in_a_process_of_its_own_ends_with_its_run(
    prepared: Configure, teacher: Silent, home: dg.DagsterInstance, store: Store, tmp_path: Path
) -> None:
    prepared(executor="multiprocess")
    teacher.answers = 2
    program = Program(tmp_path / "out", *MATERIALIZE)
    program.wait_until(lambda: teacher.silent.is_set() and answered(store, "quiz_a") == 2)

    program.end(signal.SIGTERM)

    assert "ended by the end of its run (SIGINT, which executors send their steps)" in said(home)
    assert newest(home).status is dg.DagsterRunStatus.FAILURE
    assert "STEP_RESTARTED" not in steps(home)
    assert answered(store, "quiz_a") == 2


def test_the_quickstart_does_not_go_on_to_the_next_subtask(
    teacher: Silent, home: dg.DagsterInstance, store: Store, tmp_path: Path
) -> None:
    teacher.answers = 2
    subtasks = [f"quiz/{subtask}" for subtask in SUBTASKS]
    program = Program(tmp_path / "out", *PROGRAM[1:], "quickstart", *subtasks)
    # The subtasks share the teacher, so either answer may be of any of them.
    program.wait_until(
        lambda: teacher.silent.is_set() and sum(answered(store, s) for s in SUBTASKS) == 2
    )
    runs = len(home.get_runs())

    status, _ = program.end(signal.SIGINT)

    assert status == 128 + signal.SIGINT
    assert "ended by Ctrl-C" in program.text.splitlines()[-1]
    assert "the same command continues from there" in program.text.splitlines()[-1]
    assert len(home.get_runs()) == runs
    assert "Traceback" not in program.text.splitlines()[-1]


# In C code, where no Python handler runs

STUCK = """
import ctypes, time
import dagster as dg
from sdg_assets.teacher import stopping
stopping.LAST_WORDS_SECONDS = 60  # the machine may be busy
from sdg_assets_tests.support.command import PROGRAM
from sdg_assets_tests.support.runs import run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
import sdg_assets.teacher

libc, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)

def in_c():
    "Waits for a lock that it holds itself, as one rank of a collective waits for another."
    libc.pthread_mutex_lock(lock)
    libc.pthread_mutex_lock(lock)

def in_python():
    time.sleep(60)

def deep(where):
    "Runs it as a callback out of C, again and again: whatever is raised there is swallowed."
    def compare(left, right):
        print("STUCK", flush=True)
        where()
        return 0
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    libc.qsort(ctypes.create_string_buffer(1000), 1000, 1, kind(compare))

class Stuck(ScriptedTeacher):
    def poll(self, *, wait=True):
        if len(self.requests) > 2 and wait and not self._open_two():
            with stopping.engine_work({patience}):
                deep({where})
        return super().poll(wait=wait)

    def _open_two(self):
        self.answered = getattr(self, "answered", 0) + 1
        return self.answered <= 2

teacher = Stuck(lambda request: "no draft")
sdg_assets.teacher.open_teacher = lambda settings, role: teacher
with dg.DagsterInstance.get() as instance:
    run("quiz", ["generated"], subtasks=("quiz_a", "quiz_c"), instance=instance)
"""


@pytest.mark.parametrize("where", ["in_c", "in_python"])
def test_a_run_deep_in_an_engine_is_ended_by_force_with_its_answers_kept(
    where: str, prepared: Configure, home: dg.DagsterInstance, store: Store, tmp_path: Path
) -> None:
    program = Program(tmp_path / "out", "-c", STUCK.format(where=where, patience=None))
    program.wait_until(lambda: "STUCK" in program.text)

    status, _ = program.end(signal.SIGTERM)

    assert status == 128 + signal.SIGTERM
    assert "ended by SIGTERM" in program.text
    assert "quiz__generated: ended by SIGTERM" in said(home)
    assert "a call that did not return" in said(home)
    assert newest(home).status is dg.DagsterRunStatus.FAILURE
    assert answered(store, "quiz_a") == 2


def test_what_a_bucket_has_not_got_yet_is_sent_while_the_run_is_ended_by_force(
    prepared: Configure, home: dg.DagsterInstance, store: Store, bucket: str, tmp_path: Path
) -> None:
    in_bucket = Store(bucket)
    for file in (tmp_path / "store").rglob("*"):
        if file.is_file():
            write_atomic(
                in_bucket.root / file.relative_to(tmp_path / "store").as_posix(), file.read_bytes()
            )
    prepared(store=bucket)
    program = Program(tmp_path / "out", "-c", STUCK.format(where="in_c", patience=None))
    program.wait_until(lambda: "STUCK" in program.text)

    program.end(signal.SIGTERM)

    folder = in_bucket.completions_dir("quiz", "quiz_a")
    (log,) = {listed.name.partition(".")[0] for listed in listing(folder)}
    with CompletionLog(folder / f"{log}.jsonl") as kept:
        assert len(kept) == 2


def test_an_engine_that_is_frozen_in_c_ends_its_process_for_a_retry(
    prepared: Configure, home: dg.DagsterInstance, store: Store, tmp_path: Path
) -> None:
    program = Program(tmp_path / "out", "-c", STUCK.format(where="in_c", patience=0.5))

    assert program.process.wait(PATIENCE) == stopping.TEMPORARY_FAILURE, program.text[-3000:]

    assert "ended by a frozen engine: no token for 0.00833333 min (SDG_STALLED_" in said(home)
    assert newest(home).tags["dagster/failure_reason"] == "UNEXPECTED_TERMINATION"
    assert answered(store, "quiz_a") == 2


def test_an_engine_that_is_frozen_in_python_is_left() -> None:
    def frozen() -> None:
        with stopping.engine_work(0.2):
            while True:
                time.sleep(0.01)

    with pytest.raises(stopping.FrozenError):
        frozen()


def test_an_engine_that_produces_tokens_is_not_frozen() -> None:
    with stopping.engine_work(1.0) as work:
        for _ in range(30):
            time.sleep(0.05)
            work.progressed()


# The end of the interpreter

SLOW_EXITS = {
    "an exit handler": "atexit.register(time.sleep, 600)",
    "an object's end": """
class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(600)

slow = Slow()
""",
}
EXIT = """
import atexit, time
from sdg_assets.teacher import stopping
stopping.listen()
{slow}
print("READY", flush=True)
try:
    time.sleep(600)
except KeyboardInterrupt:
    stopping.unwinding()
"""


@pytest.mark.parametrize("slow", SLOW_EXITS)
def test_a_process_that_was_told_to_end_does_not_wait_for_a_slow_exit(
    slow: str, tmp_path: Path
) -> None:
    program = Program(tmp_path / "out", "-c", EXIT.format(slow=SLOW_EXITS[slow]))
    program.wait_until(lambda: "READY" in program.text)

    status, _ = program.end(signal.SIGINT)

    assert status == 128 + signal.SIGINT


def test_the_waits_before_a_forced_end_add_up_to_less_than_five_seconds() -> None:
    longest_wait = max(stopping.GRACE_SECONDS, stopping.UNWINDING_SECONDS)

    assert longest_wait + stopping.LAST_WORDS_SECONDS <= 4.5


# The real engine

START = """
from contextlib import contextmanager
import dagster as dg
from sdg_assets.teacher import stopping
from sdg_assets.teacher.backends import engine
from sdg_assets_tests.support.command import PROGRAM
from sdg_assets_tests.support.runs import run

@contextmanager
def announced(patience=None):
    print("AT WORK", flush=True)
    with stopping.engine_work(patience) as work:
        yield work

engine.engine_work = announced
with dg.DagsterInstance.get() as instance:
    run("quiz", ["generated"], subtasks=("quiz_a", "quiz_c"), instance=instance)
"""


@pytest.mark.engine
def test_the_real_engine_is_ended_while_it_starts(
    prepared: Configure, home: dg.DagsterInstance, store: Store, tmp_path: Path
) -> None:
    prepared(teacher="smollm2-135m")
    program = Program(tmp_path / "out", "-c", START)
    program.wait_until(lambda: "AT WORK" in program.text)
    time.sleep(2)  # vLLM is imported, or loads the model

    program.end(signal.SIGTERM)

    assert "ended by SIGTERM" in said(home)
    assert steps(home)[-1] != "STEP_UP_FOR_RETRY"
    assert newest(home).status is dg.DagsterRunStatus.FAILURE
    assert not store.exists(PartitionKey("quiz", "generated", "quiz_a"))
