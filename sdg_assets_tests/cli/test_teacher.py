from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.command import program, sdg


def model(place: Path) -> Path:
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    return place


def test_fetch_prints_the_directory_of_a_model(tmp_path: Path) -> None:
    place = model(tmp_path / "model")

    done = program("teacher", "fetch", str(place), SDG_STORE=str(tmp_path))

    assert (done.returncode, done.stdout) == (0, f"{place}\n")


def test_fetch_knows_the_teachers_of_an_own_catalog(tmp_path: Path, configure: Configure) -> None:
    place = model(tmp_path / "model")
    card = f"""
ours:
  model: {place}
  license: MIT
  license_source: its README
  outputs_may_train: "yes"
  terms: None.
  commercial_use: "yes"
  certainty: known
"""
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "teachers.yaml").write_text(card)
    configure(catalog=tmp_path / "catalog")

    done = sdg("teacher", "fetch", "ours")

    assert (done.exit_code, done.stdout) == (0, f"{place}\n")


@pytest.mark.parametrize("name", ["", "nobody-knows"])
def test_a_wrong_teacher_to_fetch_is_one_line(name: str) -> None:
    done = sdg("teacher", "fetch", name)

    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: unknown teacher {name!r}")
    assert len(done.stderr.splitlines()) == 1
