from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.assets import lineage
from sdg_assets.lineage.datasets import columns
from sdg_assets.records import EnrichedExample
from sdg_assets_tests.support.lineage import events, names, write_events
from sdg_assets_tests.support.object_server import free_ports
from sdg_assets_tests.support.runs import run


def test_a_step_that_fails_says_why_and_what_it_has_published(
    mirror: Path, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_events(tmp_path / "events", monkeypatch)
    (mirror / "org" / "quiz" / "quiz_b" / "train.jsonl").write_text("no JSON\n")

    run("quiz", ["seeds"], subtasks=("quiz_a", "quiz_b"), instance=instance)

    last = events(tmp_path / "events")[-1]
    assert last["eventType"] == "FAIL"
    assert last["run"]["facets"]["errorMessage"]["message"].startswith("quiz_b: ")
    assert [name.rpartition("/")[2] for name in names(last["outputs"])] == ["quiz_a"]


def test_a_server_that_is_gone_is_a_warning_of_a_step_that_succeeds(
    mirror: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", f"http://ana:secret@127.0.0.1:{port}")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__RETRY", '{"total": 0}')

    result = run("quiz", ["seeds"], subtasks="quiz_a", instance=instance)

    assert result.success
    messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
    (warning,) = (text for text in messages if "lineage" in text)
    assert warning.startswith("lineage did not reach OpenLineage: ")
    assert "secret" not in warning


def test_nothing_is_told_by_default_or_where_it_is_disabled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not lineage.is_configured()
    monkeypatch.setenv("OPENLINEAGE_URL", "http://marquez:5000")
    assert lineage.is_configured()
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    assert not lineage.is_configured()


def test_columns_of_nested_objects_are_told() -> None:
    votes = next(column for column in columns(EnrichedExample) if column.name == "votes")

    assert votes.type == "array<struct>"
    assert {"answer", "count"} <= {column.name for column in votes.fields or []}
