from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.records import Role
from sdg_assets.settings import Settings
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.cities import Employ, put_rows
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher


@pytest.fixture
def employ(monkeypatch: pytest.MonkeyPatch) -> Employ:
    """Makes a scripted teacher play every role."""

    def hire(teacher: ScriptedTeacher) -> ScriptedTeacher:
        def opened(_settings: Settings, _role: Role) -> ScriptedTeacher:
            return teacher

        monkeypatch.setattr("sdg_assets.teacher.open_teacher", opened)
        return teacher

    return hire


@pytest.fixture
def mirror(tmp_path: Path, configure: Configure) -> Path:
    """Configures a catalog of one task with two subtasks; returns a mirror with rows for both."""
    subtasks = {key: {"config": key} for key in ("quiz_a", "quiz_b")}
    catalog = write_catalog(tmp_path / "catalog", {"subtasks": subtasks})
    root = tmp_path / "mirror"
    for key in subtasks:
        rows = [
            {"question": f"Which city is {key} {n}?", "choices": ["Oslo", "Rome"], "label": n % 2}
            for n in range(4)
        ]
        put_rows(root, key, rows)
    configure(catalog=catalog, seed_source=f"mirror:{root}")
    return root
