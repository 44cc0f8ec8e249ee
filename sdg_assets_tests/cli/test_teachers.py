"""`sdg teacher list` compares the known teachers, and writes the page that does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdg_assets.cli.teachers import page
from sdg_assets.teacher.models import teacher_cards
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.command import sdg

PAGE = Path(__file__).parents[2] / "docs" / "teachers.md"
OURS = """
ours: {model: org/ours, license: MIT, license_source: README, outputs_may_train: yes,
  terms: None., commercial_use: unclear, certainty: guess}
"""


def test_the_page_on_teachers_is_current() -> None:
    current = page(teacher_cards().values())
    assert PAGE.read_text("utf-8") == current, (
        "run `sdg teacher list --markdown > docs/teachers.md`"
    )


def test_the_command_prints_the_page() -> None:
    assert sdg("teacher", "list", "--markdown").stdout == PAGE.read_text("utf-8")


def test_each_teacher_has_one_row_on_the_page() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    for name in teacher_cards():
        assert sum(row.startswith(f"| {name} |") for row in rows) == 1


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("smollm2-135m", ["0", "2", "never", "Apache-2.0", "yes"]),
        ("gpt-oss-120b", ["1", "75", "always", "low,", "medium,", "high"]),
        ("mistral-large-2411", ["4", "70", "never", "Mistral-Research-0.1", "no"]),
        ("gemma-4-31b", ["2", "38", "off"]),
        ("kimi-k2", ["16", "70", "never"]),
    ],
)
def test_a_row_says_size_thinking_and_licence(name: str, facts: list[str]) -> None:
    rows = sdg("teacher", "list").stdout.splitlines()
    [row] = [row for row in rows if row.startswith(f"{name} ")]
    at = [row.split().index(fact) for fact in facts]
    assert at == sorted(at)


def test_own_cards_replace_the_built_in_ones(tmp_path: Path, configure: Configure) -> None:
    (tmp_path / "teachers.yaml").write_text(OURS)
    configure(catalog=tmp_path)

    table = sdg("teacher", "list").stdout
    [card] = json.loads(sdg("teacher", "list", "--json").stdout)

    assert "smollm2-135m" not in table
    row = " ".join(table.splitlines()[1].split())
    assert row == "ours unknown 1 unknown step never MIT yes unclear licence"
    assert (card["name"], card["class"], card["certainty"]) == ("ours", "small", "guess")
