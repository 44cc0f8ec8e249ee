from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.command import sdg
from sdg_assets_tests.support.records import enriched


@pytest.fixture(autouse=True)
def some_rows(tmp_path: Path, store: Store, configure: Configure) -> None:
    sums = {"task": "sums", "skills": ["arithmetic"], "subtasks": {"sums": {}}}
    configure(catalog=write_catalog(tmp_path / "catalog", {}, sums), coverage_minimum=5)
    with store.write(PartitionKey("quiz", "filtered", "quiz")) as out:
        for number in range(8):
            out.accept(enriched(question=f"Which is {number}?"))


def test_the_plan_shows_what_is_missing_and_who_would_write_it() -> None:
    done = sdg("cover")

    assert done.exit_code == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()][:5] == [
        ["rows", "of", "planned", "cannot", "wish"],
        ["0", "5", "1", "0", "apply_knowledge,", "arithmetic,", "trivia,", "en,",
         "multiple_choice"],
        [],
        ["subtask", "accepted", "yield", "examples", "at", "most"],
        ["sums/sums", "2", "50%", "5"],
    ]  # fmt: skip
    assert done.stdout.splitlines()[-1].startswith("1 of 2 wishes are met; 1 subtasks would write")


def test_wishes_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "wishes.yaml"
    file.write_text("wishes:\n- {skill: arithmetic, share: 0.2}\n- {language: en, rows: 9}\n")

    done = sdg("cover", str(file), "--json")

    assert done.exit_code == 0, done.stderr
    plan = json.loads(done.stdout)
    assert [wish.get("skill", wish.get("language")) for wish in plan["unmet"]] == [
        "arithmetic",
        "en",
    ]
    assert plan["targets"]["sums/sums"]["most_written"] > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wish: []", "wish: Extra inputs are not permitted"),
        ("wishes: [{skill: sum, rows: 1}]", "wish 1: unknown skill 'sum'; "),
        ("wishes: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "wishes.yaml"
    file.write_text(text)

    done = sdg("cover", str(file))

    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") <= 2
