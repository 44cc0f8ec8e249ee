from __future__ import annotations

from pathlib import Path

import pytest

from sdg_assets.cli.preview.__main__ import main
from sdg_assets.records import Record
from sdg_assets.settings import settings
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import on_disk
from sdg_assets_tests.support.builders import write_catalog
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


def test_it_counts_what_each_gate_would_drop_and_shows_rows(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
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

    assert main(["preview", "--task", "quiz"]) == 0

    out = capsys.readouterr().out
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


def test_other_thresholds_can_be_tried(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    publish(store, "normalized", numeric("What is 6 x 7?"), numeric())

    assert main(["preview", "--task", "quiz", "--set", "question_chars=[20,500]"]) == 0

    out = capsys.readouterr().out
    assert "quiz/normalized/quiz: 2 rows" in out
    assert "question_chars = [20, 500]  (default [5, 5000])" in out
    assert "1  50.00%  format: question length" in out


def test_a_threshold_of_duplicates_can_be_tried_too(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(
        store,
        "enriched",
        enriched(question="Which large city lies on the river Seine in the north of France today?"),
        enriched(question="Which large city lies on the river Seine in the north of France now?"),
    )
    only = ["preview", "--task", "quiz", "--gate", "duplicates"]

    assert main(only) == 0
    assert "duplicates: near duplicate" in capsys.readouterr().out
    assert main([*only, "--set", "near_duplicate_similarity=0.99"]) == 0
    assert "duplicates: near duplicate" not in capsys.readouterr().out


def test_one_gate_can_be_looked_at_alone(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    publish(store, "enriched", enriched(question="As an AI I ask."), enriched(outcome="unsolvable"))

    assert main(["preview", "--task", "quiz", "--gate", "verification"]) == 0

    out = capsys.readouterr().out
    assert "verification: unsolvable" in out
    assert "prompt debris" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "quizz"], "unknown seed task 'quizz'; did you mean quiz?"),
        (["--task", "quiz", "--subtask", "maths"], "has no subtask 'maths'"),
        (["--task", "quiz", "--gate", "taste"], "unknown gate 'taste'; there are: schema, format"),
        (["--task", "quiz", "--set", "question_chars"], "NAME=VALUE is expected"),
        (["--task", "quiz", "--set", "chars=3"], "chars: Extra inputs are not permitted"),
        (["--task", "quiz", "--set", "question_chars=[9,1]"], "the lower bound comes first"),
    ],
)
def test_what_it_cannot_do_it_says(
    store: Store, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    publish(store, "normalized", example())

    assert main(["preview", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_nothing_materialized_is_an_error(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", "--task", "quiz"]) == 2
    assert "materialize a subtask of it first" in capsys.readouterr().err
