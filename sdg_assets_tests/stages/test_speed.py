"""The stage and the engine alone, with the quick teacher."""

from __future__ import annotations

import pytest

from sdg_assets.catalog import load_catalog
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

    figures = compare(teacher, spec, seeds, requests=6, max_tokens=8)
    limited = rate(teacher, spec, seeds, WriterKnobs(max_tokens=4), seconds=1.0)
    teacher.stop()

    assert figures.in_process
    assert figures.rows == 6
    assert figures.stage.tokens == figures.engine.tokens == 6 * 8
    assert figures.ratio > 0
    assert limited.tokens_per_second > 0
    assert limited.accepted <= limited.finished


def test_a_teacher_that_runs_elsewhere_is_not_measured(configure: Configure) -> None:
    configure(teacher="http://127.0.0.1:1")

    with pytest.raises(TeacherError, match="runs elsewhere: set SDG_TEACHER to a model"):
        recording_teacher(settings())
