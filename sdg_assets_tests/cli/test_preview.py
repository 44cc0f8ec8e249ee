from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdg_assets.records import Record
from sdg_assets.settings import settings
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import on_disk
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.command import sdg
from sdg_assets_tests.support.records import enriched, example, numeric


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    write_catalog(tmp_path / "catalog", {"gates": {"answer_chars": 500}})
    monkeypatch.setenv("SDG_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("SDG_STORE", str(tmp_path / "store"))
    settings.cache_clear()
    return Store(tmp_path / "store")


def publish(store: Store, stage: str, *rows: Record) -> None:
    with store.write(PartitionKey("quiz", stage, "quiz")) as out:
        for row in rows:
            out.accept(row)


def test_it_counts_what_each_gate_would_drop_and_shows_rows(store: Store) -> None:
    publish(store, "normalized", example())
    publish(
        store,
        "enriched",
        enriched(),
        enriched(question="Where is the Louvre?", outcome="no_majority"),
        enriched(question="As an AI I ask where it is.", outcome="no_majority"),
        enriched(question="Whose is jane.doe@uni-ulm.de?"),
        enriched(question="Which river flows through Rome?"),
    )
    before = sorted(on_disk(store.root).rglob("*"))

    done = sdg("preview", "quiz")

    assert done.exit_code == 0
    out = done.stdout
    assert "quiz/enriched/quiz: 5 rows" in out
    assert "answer_chars = 500  (default 600)" in out
    assert "1  20.00%  format: prompt debris" in out
    assert "As an AI I ask where it is." in out
    assert "2  40.00%  verification: no majority" in out
    assert "verification drops 1 that no gate before it does" in out
    assert "personal_data only reports them" in out
    assert "1  20.00%  duplicates: exact duplicate" in out  # of the seed
    assert "2 of 5 rows (40.0%) would be left" in out
    assert sorted(on_disk(store.root).rglob("*")) == before


def test_other_thresholds_can_be_tried(store: Store) -> None:
    publish(store, "normalized", numeric("What is 6 x 7?"), numeric())

    done = sdg("preview", "quiz", "--set", "question_chars=[20,500]")

    assert done.exit_code == 0
    out = done.stdout
    assert "quiz/normalized/quiz: 2 rows" in out
    assert "question_chars = [20, 500]  (default [5, 5000])" in out
    assert "1  50.00%  format: question length" in out


def test_a_threshold_of_duplicates_can_be_tried_too(store: Store) -> None:
    publish(
        store,
        "enriched",
        enriched(question="Which large city lies on the river Seine in the north of France today?"),
        enriched(question="Which large city lies on the river Seine in the north of France now?"),
    )
    only = ["preview", "quiz/quiz", "--gate", "duplicates"]

    done = sdg(*only)
    assert done.exit_code == 0
    assert "duplicates: near duplicate" in done.stdout
    done = sdg(*only, "--set", "near_duplicate_similarity=0.99")
    assert done.exit_code == 0
    assert "duplicates: near duplicate" not in done.stdout


def test_one_gate_can_be_looked_at_alone(store: Store) -> None:
    publish(store, "enriched", enriched(question="As an AI I ask."), enriched(outcome="unsolvable"))

    done = sdg("preview", "quiz", "--gate", "verification")

    assert done.exit_code == 0
    assert "verification: unsolvable" in done.stdout
    assert "prompt debris" not in done.stdout


def test_a_script_reads_the_same_as_json(store: Store) -> None:
    publish(store, "enriched", enriched(question="As an AI I ask."), enriched(outcome="unsolvable"))

    done = sdg("preview", "quiz", "--set", "question_chars=[3,500]", "--json")

    assert done.exit_code == 0
    (report,) = json.loads(done.stdout)
    assert (report["partition"], report["rows"], report["left"]) == ("quiz/enriched/quiz", 2, 0)
    assert report["thresholds"]["question_chars"] == [3, 500]
    refused = {(entry["gate"], entry["reason"]): entry for entry in report["refusals"]}
    (example,) = refused["verification", "unsolvable"]["examples"]
    assert example["question"] == enriched().question
    assert report["dropped_first_by"]["format"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quizz"], "unknown seed task 'quizz'; did you mean quiz?"),
        (["quiz/maths"], "has no subtask 'maths'"),
        (["quiz", "--gate", "taste"], "unknown gate 'taste'; there are: schema, format"),
        (["quiz", "--set", "question_chars"], "write it as NAME=VALUE"),
        (["quiz", "--set", "chars=3"], "chars: Extra inputs are not permitted"),
        (["quiz", "--set", "question_chars=[9,1]"], "the lower bound comes first"),
    ],
)
def test_an_error_is_explained_in_one_line(
    store: Store, arguments: list[str], message: str
) -> None:
    publish(store, "normalized", example())

    done = sdg("preview", *arguments)

    assert done.exit_code == 2
    assert message in done.stderr


def test_nothing_materialized_is_an_error(store: Store) -> None:
    done = sdg("preview", "quiz")

    assert done.exit_code == 2
    assert "materialize a subtask of it first" in done.stderr
