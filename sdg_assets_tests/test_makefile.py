from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment is set up by a script that does nothing."""
    (tmp_path / ".ci").mkdir()
    for name in ("Makefile", "dagster.yaml", "pyproject.toml", ".ci/constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".ci" / "setup").write_text('#!/bin/sh\nmkdir -p "$2"\n', "utf-8")
    (tmp_path / ".ci" / "setup").chmod(0o755)
    return tmp_path


def setup(checkout: Path) -> str:
    environment = {**os.environ, "DAGSTER_HOME": str(checkout / "home")}
    made = subprocess.run(
        ["make", "--no-print-directory", "setup"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


def test_a_new_instance_gets_the_checkouts_dagster_yaml(checkout: Path) -> None:
    assert "differs" not in setup(checkout)

    assert (checkout / "home/dagster.yaml").read_bytes() == (ROOT / "dagster.yaml").read_bytes()


def test_a_newer_checkout_keeps_the_users_dagster_yaml_and_says_so(checkout: Path) -> None:
    own = checkout / "home" / "dagster.yaml"
    own.parent.mkdir()
    own.write_text("storage: {postgres: {postgres_url: {env: URL}}}\n", "utf-8")
    os.utime(own, (0, 0))

    said = setup(checkout)

    assert own.read_text("utf-8").startswith("storage: {postgres")
    assert said.splitlines()[-1] == (
        f"{own} differs from this checkout's dagster.yaml, and is kept"
    )
