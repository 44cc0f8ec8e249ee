"""The stage and the engine alone, with the quick teacher."""

from __future__ import annotations

import pytest

from sdg_assets.catalog import load_catalog
from sdg_assets.cli import trial
from sdg_assets.errors import TeacherError
from sdg_assets.settings import settings
from sdg_assets.stages.generated import WriterKnobs
from sdg_assets.stages.plan import seeds_of
from sdg_assets.stages.speed import compare, rate, recording_teacher
from sdg_assets_tests.conftest import Configure


@pytest.mark.engine
def test_both_sides_write_the_same_and_a_limited_time_is_kept(configure: Configure) -> None:
    configure(teacher="smollm2-135m")
    spec = load_catalog().subtask("gsm8k", "gsm8k")
    seeds, teacher = seeds_of(spec, settings()).first, recording_teacher(settings())
    endless = seeds[0].model_copy(update={"id": "f" * 20, "question": "why " * 9000})

    # A seed that fits into no prompt is asked by neither side.
    figures = compare(teacher, spec, [endless, *seeds], requests=7, max_tokens=8)
    limited = rate(teacher, spec, seeds, WriterKnobs(max_tokens=4), seconds=1.0)
    teacher.stop()

    assert figures.in_process
    assert figures.rows == 7
    assert figures.stage.tokens == figures.engine.tokens == 6 * 8
    assert figures.ratio > 0
    assert limited.tokens_per_second > 0
    assert limited.accepted <= limited.finished


def test_a_trial_asks_as_the_pipeline_would(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(
        teacher="qwen3-8b", thinking="writer:off", writer_max_tokens="99", seed_source="samples"
    )
    asked: list[WriterKnobs] = []
    monkeypatch.setattr(trial, "recording_teacher", lambda _: None)
    monkeypatch.setattr(trial, "rate", lambda *arguments: asked.append(arguments[3]))

    trial._measured("gsm8k/gsm8k", 1.0)

    assert [(knobs.thinking, knobs.max_tokens) for knobs in asked] == [("off", 99)]


def test_a_teacher_that_runs_elsewhere_is_not_measured(configure: Configure) -> None:
    configure(teacher="http://127.0.0.1:1")

    with pytest.raises(TeacherError, match="runs elsewhere: set SDG_TEACHER to a model"):
        recording_teacher(settings())
