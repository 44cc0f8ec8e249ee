from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdg_assets.catalog import cached_catalog
from sdg_assets.heldout.protection import is_hashed
from sdg_assets.settings import settings
from sdg_assets.store.partitions import Store
from sdg_assets_tests.assets.quiz import quiz
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.command import program, sdg
from sdg_assets_tests.support.teacher_server import TeacherServer, is_vote, teacher_server

PATIENCE = 60.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", "utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


@pytest.fixture
def teacher() -> Iterator[TeacherServer]:
    with teacher_server(TeacherServer()) as server:
        yield server


@pytest.mark.parametrize(
    ("subtask", "message"),
    [
        ("gsm8k", "error: 'gsm8k' is not a subtask; write it as task/subtask"),
        ("gsm/gsm8k", "error: unknown seed task 'gsm'; did you mean mgsm"),
    ],
)
def test_a_subtask_that_is_not_known_is_one_line(home: Path, subtask: str, message: str) -> None:
    done = sdg("quickstart", subtask)

    assert done.exit_code == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("place", ["", "runs", "/no/such/directory"])
def test_without_a_place_for_dagsters_runs_it_says_so(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", place)

    done = sdg("quickstart")

    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: DAGSTER_HOME={place!r}: must be the absolute path")


def test_it_takes_a_subtask_through_all_stages_and_shows_what_came_out(
    home: Path, teacher: TeacherServer, store: Store, tmp_path: Path, configure: Configure
) -> None:
    quiz(tmp_path, configure, "quiz_a")
    configure(teacher=teacher.url, shots=1, with_knowledge="false")

    done = program("quickstart", "quiz/quiz_a", "--max-seeds", "3")

    assert done.returncode == 0, done.stderr[-3000:]
    assert "quiz/quiz_a\nWhich city has the number " in done.stdout
    assert "Answer: Oslo" in done.stdout
    assert done.stdout.rstrip().endswith(f"teacher {teacher.url}.")
    (funnel,) = json.loads(sdg("funnel", "--json").stdout)
    assert (funnel["seeds"], funnel["accepted"]) == (3, 3)
    (release,) = json.loads(sdg("release", "list", "--json").stdout)
    assert release["rows"] == 3
    spec = cached_catalog(settings().catalog).subtask("quiz", "quiz_a")
    assert is_hashed(store, spec, f"mirror:{tmp_path}/mirror")


def test_all_subtasks_share_the_teachers_batch_and_the_first_accepted_row_is_shown(
    home: Path, store: Store, tmp_path: Path, configure: Configure
) -> None:
    class Sociable(TeacherServer):
        """Writes a draft only while another one is being written."""

        meeting = threading.Barrier(2)
        drafts = 0

        def write(self, body: dict[str, object]) -> dict[str, object]:
            self.drafts += 1
            self.meeting.wait(PATIENCE)
            return super().write(body)

    quiz(tmp_path, configure, "quiz_a", "quiz_b")
    with teacher_server(Sociable()) as sociable:
        configure(teacher=sociable.url, shots=1, with_knowledge="false")
        done = program("quickstart", "quiz/quiz_a", "quiz/quiz_b", "--max-seeds", "1")

    assert done.returncode == 0, done.stderr[-3000:]
    assert not sociable.meeting.broken
    assert sociable.drafts == 2, "the runs found the drafts in the logs"
    first, results = done.stdout.split("First accepted row, after ")[1].split("subtask", 1)
    assert "Which city has the number " in first
    assert "quiz_b" in results
    (release,) = json.loads(sdg("release", "list", "--json").stdout)
    assert release["rows"] == 2


def test_a_teacher_that_writes_nothing_of_use_ends_it_with_1(
    home: Path, store: Store, tmp_path: Path, configure: Configure
) -> None:
    class Babbler(TeacherServer):
        def complete(self, body: dict[str, object]) -> str:
            return "La la la."

    quiz(tmp_path, configure, "quiz_a")
    with teacher_server(Babbler()) as babbler:
        configure(teacher=babbler.url, shots=1)
        done = program("quickstart", "quiz/quiz_a", "--max-seeds", "3")

    assert done.returncode == 1
    assert "no row was accepted of quiz/quiz_a: the log above says why" in done.stderr
    assert done.stderr.rstrip().endswith("failed: curated; the log above says why")
    assert "0 accepted rows in " in done.stdout


def test_a_subtask_of_which_no_row_is_accepted_is_noted_beside_those_with_rows(
    home: Path, store: Store, tmp_path: Path, configure: Configure
) -> None:
    class Undecided(TeacherServer):
        """Agrees with itself on the first subtask only."""

        def speak(self, body: dict[str, object]) -> str:
            is_wrong = is_vote(body) and "quiz_b" in json.dumps(body)
            return super().speak(body).replace("Oslo", "Rome" if is_wrong else "Oslo")

        def write(self, body: dict[str, object]) -> dict[str, object]:
            draft = super().write(body)
            name = "quiz_b" if "quiz_b" in json.dumps(body) else "quiz_a"
            return {**draft, "question": f"{draft['question']} It is of {name}."}

    quiz(tmp_path, configure, "quiz_a", "quiz_b")
    with teacher_server(Undecided()) as undecided:
        configure(teacher=undecided.url, shots=1, with_knowledge="false")
        done = program("quickstart", "quiz/quiz_a", "quiz/quiz_b", "--max-seeds", "2")

    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 accepted rows in " in done.stdout
    assert "no row was accepted of quiz/quiz_b: the log above says why" in done.stderr
    assert "\nfailed: " not in done.stderr
    (release,) = json.loads(sdg("release", "list", "--json").stdout)
    assert release["rows"] == 2
