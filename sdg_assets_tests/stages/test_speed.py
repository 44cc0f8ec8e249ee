"""The stage and the engine alone, with the quick teacher."""

from __future__ import annotations

from typing import cast

import pytest

from sdg_assets.catalog import load_catalog
from sdg_assets.cli import trial
from sdg_assets.enrichment.knobs import SolverKnobs
from sdg_assets.errors import TeacherError
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets.stages import speed
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.plan import seeds_of
from sdg_assets.stages.speed import Comparison, Rate, Speed, compare, rate, recording_teacher
from sdg_assets.teacher.backends.engine import EngineTeacher
from sdg_assets.teacher.requests import Completion, FailedRequest, Request
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, completion


@pytest.mark.engine
def test_both_sides_write_the_same_and_a_limited_time_is_kept(configure: Configure) -> None:
    configure(teacher="smollm2-135m")
    spec = load_catalog().subtask("gsm8k", "gsm8k")
    seeds, teacher = seeds_of(spec, settings()).first, recording_teacher(settings())
    endless = seeds[0].model_copy(update={"id": "f" * 20, "question": "why " * 9000})

    # A seed that fits into no prompt is asked by neither side.
    figures = compare(teacher, spec, [endless, *seeds], requests=7, max_tokens=8)
    votes = SolverKnobs(votes=2, max_tokens=4)
    limited = rate(teacher, spec, seeds, WriterKnobs(max_tokens=4), seconds=0.5, solver=votes)
    teacher.stop()

    assert figures.in_process
    assert figures.rows == 7
    assert figures.stage.tokens == figures.engine.tokens == 2 * 6 * 8, "each side runs twice"
    assert figures.ratio > 0
    for run in (figures.stage, figures.engine):
        assert run.steps >= 2 * 8, "a step writes a token of each answer"
        assert 0 < run.step_seconds < run.cpu_seconds
    assert limited.tokens_per_second > 0
    assert limited.accepted <= limited.finished


def test_steps_that_take_longer_are_not_the_stages_doing_and_steps_that_it_needs_more_are() -> None:
    engine = Speed(1000, 11.0, 10.1, steps=100, step_seconds=10.0)

    def ratio(stage: Speed) -> float:
        return round(Comparison(stage, engine, 8, 8, 0.0, in_process=True).ratio, 6)

    assert ratio(Speed(1000, 16.0, 15.1, steps=100, step_seconds=15.0)) == 1
    assert ratio(Speed(1000, 11.0, 10.6, steps=100, step_seconds=10.0)) == round(10.1 / 10.6, 6)
    assert ratio(Speed(1000, 13.0, 12.6, steps=125, step_seconds=12.5)) == round(10.1 / 12.6, 6)


def test_a_trial_asks_as_the_pipeline_would(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(
        teacher="qwen3-8b", thinking="writer:off", writer_max_tokens="99", seed_source="samples"
    )
    asked: list[tuple[WriterKnobs, SolverKnobs | None]] = []
    monkeypatch.setattr(trial, "recording_teacher", lambda _: None)
    monkeypatch.setattr(trial, "rate", lambda *a: asked.append((a[3], a[5])))

    trial._measured("gsm8k/gsm8k", 1.0)
    configure(teacher="qwen3-8b", solver="qwen3-32b", seed_source="samples")
    trial._measured("gsm8k/gsm8k", 1.0)

    (writer, solver), (_, of_another_teacher) = asked
    assert (writer.thinking, writer.max_tokens) == ("off", 99)
    assert solver
    assert (solver.thinking, solver.votes) == ("", settings().votes)
    assert of_another_teacher is None


class Clock:
    """Time that passes only while an engine computes."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class SlowWhenFull(ScriptedTeacher):
    """An engine that writes a token of every answer a step, the slower the fuller its cache.

    Answers are drafts of 40 tokens and votes of 200 to 1,000 tokens, or as long as told.
    """

    computes_here = True

    def __init__(self, clock: Clock, length: int | None = None) -> None:
        super().__init__(lambda _: "", capacity=32)
        self.tokens, self.wait_until = 0, None
        self._clock, self._length = clock, length
        self._written: dict[str, int] = {}

    def start(self) -> None:
        """It has started."""

    def length_of(self, request: Request) -> int:
        if request.sampling.max_tokens == speed.WARM_UP_TOKENS:
            return speed.WARM_UP_TOKENS
        drawn = 200 + int(request.id[:8], 16) % 801
        return self._length or (40 if request.role is Role.WRITER else drawn)

    def poll(self, *, wait: bool = True) -> list[Completion | FailedRequest]:
        done: list[Request] = []
        until = self.wait_until or float("inf")
        while self._open and not done and self._clock.now <= until:
            for request in self._open:
                self._written[request.id] = self._written.get(request.id, 0) + 1
            self.tokens += len(self._open)
            done = [r for r in self._open if self._written[r.id] >= self.length_of(r)]
            self._clock.now += 0.01 + sum(self._written.values()) / 100_000
            for request in done:
                self._open.remove(request)
                del self._written[request.id]
        return [
            completion(r, "").model_copy(update={"output_tokens": self.length_of(r)}) for r in done
        ]


def measured(monkeypatch: pytest.MonkeyPatch, seconds: float, length: int | None = None) -> Rate:
    clock = Clock()
    monkeypatch.setattr(speed, "time", clock)
    spec = load_catalog().subtask("gsm8k", "gsm8k")
    teacher = SlowWhenFull(clock, length)
    seeds = seeds_of(spec, settings()).first
    found = rate(
        cast("EngineTeacher", teacher), spec, seeds, WriterKnobs(), seconds, SolverKnobs(votes=3)
    )
    roles = [r.role for r in teacher.requests if r.sampling.max_tokens > speed.WARM_UP_TOKENS]
    assert roles[: 4 * (len(roles) // 4)] == [Role.WRITER, *3 * [Role.SOLVER]] * (len(roles) // 4)
    return found


def test_a_short_time_measures_the_speed_of_a_long_run(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(teacher="smollm2-135m", seed_source="samples")

    short, long = measured(monkeypatch, 10.0), measured(monkeypatch, 1000.0)

    assert short.settled
    assert long.settled
    # The first 10 seconds alone show more than twice the speed. With other lengths of answers a
    # short time showed 0.86 to 1.06 of the speed of a long run.
    assert short.tokens_per_second == pytest.approx(long.tokens_per_second, rel=0.2)


def test_answers_too_long_to_settle_are_told(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(teacher="smollm2-135m", seed_source="samples")

    assert not measured(monkeypatch, 1.0, length=100_000).settled
    assert measured(monkeypatch, 1.0, length=20).settled


def test_a_teacher_that_runs_elsewhere_is_not_measured(configure: Configure) -> None:
    configure(teacher="http://127.0.0.1:1")

    with pytest.raises(TeacherError, match="runs elsewhere: set SDG_TEACHER to a model"):
        recording_teacher(settings())
