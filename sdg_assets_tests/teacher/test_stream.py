"""Several teachers at the same time: none waits for another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sdg_assets.records import Role
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.endpoint import EndpointTeacher
from sdg_assets.teacher.backends.engine import EngineTeacher
from sdg_assets.teacher.conversation import Desk, Desks, Feed, Usage, Work
from sdg_assets.teacher.log.completions import CompletionLog
from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.requests import Completion, FailedRequest, Message, Request
from sdg_assets.teacher.stream import fill
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

PATIENCE = 15.0
"""Seconds after which a server that is held answers all the same, so that a test ends."""
TURNS = 5


class Held(TeacherServer):
    """Answers nothing until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer.clear()
        self.gave_up = threading.Event()

    def admits(self) -> bool:
        if not self.may_answer.wait(PATIENCE):
            self.gave_up.set()
        return True


class Releasing(TeacherServer):
    """Releases another server once it was asked often enough."""

    def __init__(self, other: TeacherServer, asked: int) -> None:
        super().__init__()
        self.other, self.left = other, asked

    def admits(self) -> bool:
        self.left -= 1
        if not self.left:
            self.other.may_answer.set()
        return True


def ask(desk: Desk, text: str, role: Role) -> Request:
    return request_of(desk.teacher.identity, [Message(role="user", content=text)], role=role)


def turns(desks: Desks, role: Role, name: str, count: int) -> Work[None]:
    """A row that asks so many times, each time after the answer before."""
    for number in range(count):
        yield [ask(desks[role], f"{name} {number}", role)]


@contextmanager
def desks_of(folder: Path, **urls: str) -> Iterator[dict[Role, Desk]]:
    with ExitStack() as logs:
        yield {
            Role(role): Desk(
                EndpointTeacher(TeacherSpec(url)), logs.enter_context(CompletionLog(folder / role))
            )
            for role, url in urls.items()
        }


def filled(*feeds: Feed) -> None:
    for feed in fill(feeds, concurrency=8):
        if feed.error:
            raise feed.error


def test_a_row_goes_on_while_another_teacher_takes_its_time(tmp_path: Path) -> None:
    with (
        teacher_server(Held()) as slow,
        teacher_server(Releasing(slow, asked=TURNS)) as quick,
        desks_of(tmp_path, writer=slow.url, solver=quick.url) as desks,
    ):
        works = [
            turns(desks, Role.WRITER, "slow", 1),
            turns(desks, Role.SOLVER, "quick", TURNS),
        ]
        filled(Feed(works, desks, Usage()))

        assert not slow.gave_up.is_set(), "the solver's answers lay about until the writer's came"
        assert len(desks[Role.SOLVER].log) == TURNS


def test_a_program_that_ends_sends_its_request_at_once(tmp_path: Path) -> None:
    with teacher_server(Held()) as server, desks_of(tmp_path, solver=server.url) as desks:

        def program() -> Work[None]:
            yield [ask(desks[Role.SOLVER], "before", Role.SOLVER)]

        def slow_program() -> Work[None]:
            time.sleep(0.5)
            yield [ask(desks[Role.SOLVER], "after", Role.SOLVER)]

        def released() -> None:
            while len(server.asked) < 2 and not server.over.wait(0.05):
                pass
            server.may_answer.set()

        threading.Thread(target=released, daemon=True).start()
        filled(Feed([program(), slow_program()], desks, Usage(), runs_programs=True))

        assert not server.gave_up.is_set(), "its request waited for another row's answer"


def test_waiting_for_two_teachers_costs_no_time_of_a_core(tmp_path: Path) -> None:
    with (
        teacher_server(TeacherServer()) as one,
        teacher_server(TeacherServer()) as two,
        desks_of(tmp_path, writer=one.url, solver=two.url) as desks,
    ):
        one.seconds = two.seconds = 2.0
        works = [turns(desks, role, "row", 1) for role in desks]
        before = time.thread_time()
        filled(Feed(works, desks, Usage()))

        assert time.thread_time() - before < 0.5


def test_a_small_teacher_leaves_a_larger_one_its_capacity(tmp_path: Path) -> None:
    solver = ScriptedTeacher(lambda _: "yes", capacity=8)
    judge = ScriptedTeacher(lambda _: "3", capacity=2)
    with CompletionLog(tmp_path / "solver") as first, CompletionLog(tmp_path / "judge") as second:
        desks = {Role.SOLVER: Desk(solver, first), Role.JUDGE: Desk(judge, second)}
        works = [turns(desks, Role.SOLVER, f"row {number}", 1) for number in range(20)]
        judged = [turns(desks, Role.JUDGE, f"row {number}", 1) for number in range(6)]
        for feed in fill([Feed(works + judged, desks, Usage())]):
            assert feed.error is None

    assert (solver.most_at_once, judge.most_at_once) == (8, 2)


class Ready(ScriptedTeacher):
    """Has each answer at once."""

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        return super().poll(wait=True)


class Stepped(ScriptedTeacher):
    """Computes only while it is polled, a few steps an answer."""

    needs_polling: bool = True

    def __init__(self, steps: int) -> None:
        super().__init__(lambda _: "done")
        self.bell: threading.Event | None = None
        self.left = steps

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        while wait and self.left:
            self.left -= 1
            if self.bell and self.bell.is_set():
                return []
        return super().poll(wait=wait)


def test_a_teacher_that_computes_while_it_is_polled_gets_its_steps(tmp_path: Path) -> None:
    ended: list[Role] = []

    def noted(role: Role, count: int) -> Work[None]:
        yield from turns(desks, role, "row", count)
        ended.append(role)

    with CompletionLog(tmp_path / "writer") as writer, CompletionLog(tmp_path / "solver") as solver:
        desks = {
            Role.WRITER: Desk(Stepped(steps=10), writer),
            Role.SOLVER: Desk(Ready(lambda _: "yes"), solver),
        }
        filled(Feed([noted(Role.WRITER, 1), noted(Role.SOLVER, 50)], desks, Usage()))

    assert ended == [Role.WRITER, Role.SOLVER], "it got no step before the other had no work"


@pytest.mark.engine
def test_an_engine_in_this_process_keeps_no_server_waiting(tmp_path: Path) -> None:
    engine = EngineTeacher(resolve("smollm2-135m"))
    ended: list[Role] = []

    def noted(role: Role, count: int) -> Work[None]:
        yield from turns(desks, role, "Count to one hundred", count)
        ended.append(role)

    with (
        teacher_server(TeacherServer()) as quick,
        desks_of(tmp_path, solver=quick.url) as desks,
        CompletionLog(tmp_path / "writer") as log,
    ):
        desks[Role.WRITER] = Desk(engine, log)
        filled(Feed([noted(Role.WRITER, 1), noted(Role.SOLVER, TURNS)], desks, Usage()))

    assert ended == [Role.SOLVER, Role.WRITER]
