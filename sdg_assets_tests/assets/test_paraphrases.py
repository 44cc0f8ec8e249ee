"""The embedder in a run: held-out questions are embedded, then rows are compared with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.records import Rejection
from sdg_assets.store.partitions import Store
from sdg_assets_tests.conftest import Configure, on_disk
from sdg_assets_tests.support.cities import Employ, write_and_solve
from sdg_assets_tests.support.embedding import EmbeddingServer
from sdg_assets_tests.support.runs import checks, failures, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.stages import ROW_ASSETS
from sdg_assets_tests.support.teacher_server import teacher_server


@pytest.fixture
def one_direction() -> Iterator[EmbeddingServer]:
    """An embedder to which all questions are the same."""

    class OneDirection(EmbeddingServer):
        def vector(self, text: str) -> list[float]:
            return [1.0, 0.5, 0.25]

    with teacher_server(OneDirection()) as server:
        yield server


def hold_out(mirror: Path, question: str) -> None:
    """Writes a test split with a question whose answer is Oslo."""
    row = {"question": question, "choices": ["Oslo", "Bergen"], "label": 0}
    file = mirror / "org" / "quiz" / "quiz_a" / "test.jsonl"
    file.write_text(json.dumps(row) + "\n", "utf-8")


def test_held_out_questions_must_be_embedded_before_rows_are_compared(
    mirror: Path,
    store: Store,
    instance: dg.DagsterInstance,
    employ: Employ,
    configure: Configure,
    one_direction: EmbeddingServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hold_out(mirror, "Zzyzx qwerty vulpix?")
    employ(ScriptedTeacher(write_and_solve))
    assert run("quiz", ROW_ASSETS[:4], subtasks="quiz_a", instance=instance).success
    configure(embedder=one_direction.url, gates='{"paraphrase_numbers": 0}')
    with monkeypatch.context() as without:
        without.setattr("sdg_assets_tests.support.runs._hash_heldout", lambda *_: None)
        (message,) = failures(run("quiz", ["filtered"], subtasks="quiz_a", instance=instance))

    assert "held-out questions without embeddings of org/words@unknown: quiz/quiz_a" in message
    assert "materialize the assets heldout of the task and protected/heldout again" in message

    result = run("quiz", ["filtered"], subtasks="quiz_a", instance=instance)

    file = Path(str(checks(result, "filtered", "quiz_a")["rows"].metadata["refused_rows"].value))
    refused = [Rejection.model_validate_json(line) for line in file.read_bytes().splitlines()]
    assert {(r.reason, r.detail) for r in refused} == {("question in other words", "quiz/quiz_a")}
    stored = b"".join(f.read_bytes() for f in on_disk(store.root).rglob("*") if f.is_file()).lower()
    assert b"vulpix" not in stored
