"""Commands print one line for an error that we raise, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = (
    ("sdg_assets.cli.quickstart",),
    ("sdg_assets.stages.funnel",),
    ("sdg_assets.stages.plan",),
    ("sdg_assets.catalog",),
    ("sdg_assets.gates", "preview", "--task", "gsm8k"),
)


def ended(arguments: tuple[str, ...], tmp_path: Path, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env={
            **os.environ,
            "SDG_STORE": str(tmp_path / "store"),
            "DAGSTER_HOME": str(tmp_path),
            **environment,
        },
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_a_wrong_setting_ends_each_command_with_one_line(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    code, told = ended(arguments, tmp_path, SDG_VOTES="0", SDG_GATES="{")

    assert code == 2
    assert told.startswith("error: environment: ")
    assert "SDG_VOTES='0'" in told
    assert "SDG_GATES='{': is not JSON" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("subtask", "message"),
    [
        ("gsm8k", "error: 'gsm8k' names no subtask; write it as task/subtask"),
        ("gsm/gsm8k", "error: unknown seed task 'gsm'; did you mean mgsm"),
    ],
)
def test_a_subtask_that_the_quickstart_does_not_know_is_one_line(
    tmp_path: Path, subtask: str, message: str
) -> None:
    code, told = ended(("sdg_assets.cli.quickstart", subtask), tmp_path)

    assert code == 2
    assert told.startswith(message)
    assert len(told.splitlines()) == 1


def test_a_wrong_teacher_to_fetch_is_one_line(tmp_path: Path) -> None:
    code, told = ended(("sdg_assets.teacher.models", "fetch", ""), tmp_path)

    assert code == 2
    assert told.startswith("error: ")
    assert len(told.splitlines()) == 1
