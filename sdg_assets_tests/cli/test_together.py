from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sdg_assets import sandbox
from sdg_assets.catalog import cached_catalog
from sdg_assets.cli.together import Together, fill_together
from sdg_assets.records import AnswerKind, EnrichedExample, Record, Stage
from sdg_assets.settings import settings
from sdg_assets.stages.stage import key_of
from sdg_assets.store.partitions import Store
from sdg_assets.teacher.conversation import Usage, Work
from sdg_assets_tests.assets.quiz import quiz
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.records import example
from sdg_assets_tests.support.teacher_server import TeacherServer, is_vote, teacher_server


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def rounds(number: int) -> Work[None]:
    for _ in range(number):
        yield []


def answer(*works: Work[None]) -> None:
    for work in works:
        work.send([])


def left(progress: Together) -> str:
    return str(progress).rpartition(", ")[2]


def test_the_time_left_follows_from_the_rounds_of_the_slowest_row(clock: Clock) -> None:
    progress = Together(rounds=3, rows=3, usages=[Usage(output_tokens=300), Usage()])
    rows = [progress.followed(rounds(3)) for _ in range(3)]
    for row in rows:
        next(row)
    clock.now += 60
    assert str(progress) == "0 of 3 rows written, 0 answered, 5 tokens/s, no answer yet"

    answer(*rows)  # each round took a minute, and two are left
    assert left(progress) == "about 2.0 min left"
    clock.now += 30
    assert left(progress) == "about 1.5 min left"
    clock.now += 30
    answer(*rows[:2])  # the third row now takes longer than the others
    clock.now += 60
    assert left(progress) == "about 1.2 min left"


def test_rows_that_have_not_begun_take_their_turns(clock: Clock) -> None:
    progress = Together(rounds=1, rows=4)
    rows = [progress.followed(rounds(1)) for _ in range(4)]
    for row in rows[:2]:
        next(row)
    clock.now += 60
    with pytest.raises(StopIteration):
        answer(rows[0])
    next(rows[2])

    assert str(progress).startswith("0 of 4 rows written, 1 answered")
    assert left(progress) == "about 1.5 min left"


def test_rounds_that_the_log_answers_foretell_nothing(clock: Clock) -> None:
    progress = Together(rounds=3, rows=1)
    row = progress.followed(rounds(3))
    next(row)
    answer(row)

    assert left(progress) == "no answer yet"


def test_rows_that_are_given_up_are_not_waited_for(clock: Clock) -> None:
    progress = Together(rounds=3, rows=2)
    rows = [progress.followed(rounds(3)) for _ in range(2)]
    for row in rows:
        next(row)
    clock.now += 60
    answer(rows[0])

    for row in rows:
        row.close()

    assert left(progress) == "about 0.0 min left"


@pytest.mark.parametrize("is_slow", [False, True])
def test_on_a_slow_cpu_the_others_wait_for_the_first_draft(
    store: Store,
    tmp_path: Path,
    configure: Configure,
    *,
    is_slow: bool,
) -> None:
    class Slow(TeacherServer):
        """Notes the beginning and the end of each draft."""

        def __init__(self) -> None:
            super().__init__()
            self.events: list[str] = []

        def write(self, body: dict[str, object]) -> dict[str, object]:
            subtask = "quiz_b" if "quiz_b" in json.dumps(body) else "quiz_a"
            self.events.append(f"{subtask} begins")
            time.sleep(0.5)
            self.events.append(f"{subtask} ends")
            return super().write(body)

    quiz(tmp_path, configure, "quiz_a", "quiz_b")
    catalog = cached_catalog(settings().catalog)
    specs = [catalog.subtask("quiz", key) for key in ("quiz_a", "quiz_b")]
    rows: list[Record] = []
    with teacher_server(Slow()) as slow:
        configure(teacher=slow.url, shots=1, with_knowledge="false")
        for spec in specs:
            with store.write(key_of(spec, Stage.NORMALIZED)) as out:
                question = f"Which city is {spec.key}?"
                out.accept(example(subtask=spec.key, question=question, choices=["Oslo", "Rome"]))
        fill_together(
            specs,
            store,
            settings(),
            lambda _, row: rows.append(row),
            is_slow=is_slow,
        )

    assert [type(row) for row in rows] == [EnrichedExample, EnrichedExample]
    begins = slow.events.index("quiz_b begins")
    assert (begins > slow.events.index("quiz_a ends")) == is_slow


def test_a_row_is_reported_with_its_votes_before_its_background_is_written(
    store: Store, tmp_path: Path, configure: Configure
) -> None:
    quiz(tmp_path, configure, "quiz_a")
    spec = cached_catalog(settings().catalog).subtask("quiz", "quiz_a")
    reported: list[tuple[Record, int, int]] = []

    class Counting(TeacherServer):
        """Counts votes and backgrounds."""

        votes = backgrounds = 0

        def speak(self, body: dict[str, object]) -> str:
            self.votes += is_vote(body)
            self.backgrounds += not is_vote(body)
            return super().speak(body)

    with store.write(key_of(spec, Stage.NORMALIZED)) as out:
        out.accept(example(subtask=spec.key, question="Which?", choices=["Oslo", "Rome"]))
    with teacher_server(Counting()) as teacher:
        configure(teacher=teacher.url, shots=1)
        fill_together(
            [spec],
            store,
            settings(),
            lambda _, row: reported.append((row, teacher.votes, teacher.backgrounds)),
        )

    (early, votes, backgrounds), (late, all_votes, all_backgrounds) = reported
    assert isinstance(early, EnrichedExample)
    assert isinstance(late, EnrichedExample)
    assert early.verified
    assert (early.knowledge, backgrounds) == ("", 0)
    assert late.knowledge
    assert all_backgrounds > 0
    assert votes == all_votes, "the log answered the votes of the second pass"


def test_on_a_slow_cpu_all_votes_and_the_background_are_asked_for_at_once(
    store: Store, tmp_path: Path, configure: Configure
) -> None:
    quiz(tmp_path, configure, "quiz_a")
    spec = cached_catalog(settings().catalog).subtask("quiz", "quiz_a")
    rows: list[Record] = []

    class Meeting(TeacherServer):
        """Writes the second draft last, and answers nothing about it before all is asked for."""

        def __init__(self) -> None:
            super().__init__()
            self.has_votes = threading.Event()
            self.place = threading.Barrier(4)
            self.met: set[str] = set()

        def write(self, body: dict[str, object]) -> dict[str, object]:
            city = "second" if "Which second?" in json.dumps(body) else "first"
            if city == "second":
                self.has_votes.wait(10)
            return super().write(body) | {"question": f"Which city is the {city}?"}

        def speak(self, body: dict[str, object]) -> str:
            about = "vote" if is_vote(body) else "background"
            if "the second" in json.dumps(body):
                with suppress(threading.BrokenBarrierError):
                    self.place.wait(10)
                    self.met.add(about)
            elif about == "background":
                self.has_votes.set()
            return super().speak(body)

    with store.write(key_of(spec, Stage.NORMALIZED)) as out:
        for question in ("Which first?", "Which second?"):
            out.accept(example(subtask=spec.key, question=question, choices=["Oslo", "Rome"]))
    with teacher_server(Meeting()) as teacher:
        configure(teacher=teacher.url, shots=1)
        fill_together([spec], store, settings(), lambda _, row: rows.append(row), is_slow=True)

    assert teacher.met == {"vote", "background"}
    assert teacher.asked.total() == 9, "two drafts, 2 + 3 votes, two backgrounds; none twice"
    solved = [row for row in rows if isinstance(row, EnrichedExample) and row.knowledge]
    assert [row.votes_cast for row in solved] == [2, 2], "no third vote was needed; none counts"


@pytest.mark.skipif(
    sandbox.isolation() is sandbox.Isolation.none, reason="nothing here isolates programs"
)
def test_on_a_slow_cpu_drafts_that_get_no_votes_hold_nothing_up(
    store: Store, configure: Configure
) -> None:
    spec = cached_catalog(settings().catalog).subtask("mbpp", "mbpp")
    code, tests = "def f(x):\n    return 2 * x", ["assert f(2) == 4", "assert f(3) == 6"]
    rows: list[Record] = []

    class Vacuous(TeacherServer):
        """Writes programs with a test that proves nothing."""

        def write(self, body: dict[str, object]) -> dict[str, object]:
            vacuous = ["assert double(2) == 4", "assert double(3) or True"]
            program = "def double(x):\n    return 2 * x"
            return {
                "question": "Write `double`, which doubles.",
                "program": program,
                "tests": vacuous,
            }

    with store.write(key_of(spec, Stage.NORMALIZED)) as out:
        fields = {"answer_kind": AnswerKind.CODE, "question": "Write f.", "answer": code}
        out.accept(example(task="mbpp", subtask="mbpp", tests=tests, **fields))
    with teacher_server(Vacuous()) as teacher:
        configure(teacher=teacher.url, shots=1)
        fill_together([spec], store, settings(), lambda _, row: rows.append(row), is_slow=True)

    assert {row.outcome for row in rows if isinstance(row, EnrichedExample)} == {"vacuous_tests"}
    assert teacher.asked.total() == 1, "the draft; no vote and no background"
