from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.gates.duplicates import Duplicates
from sdg_assets.records import EnrichedExample, Refusal, Rejection, Role
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.requests import Request
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.cities import Employ, write_and_solve
from sdg_assets_tests.support.runs import checks, failures, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher, ratings
from sdg_assets_tests.support.stages import ROW_ASSETS


def test_what_the_judge_finds_wrong_is_refused(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ, configure: Configure
) -> None:
    def strict(request: Request) -> str:
        return ratings(harmless=1) if request.role is Role.JUDGE else write_and_solve(request)

    employ(ScriptedTeacher(strict))
    configure(with_judge=True, judge_may_be_writer=True)

    result = run("quiz", subtasks="quiz_a", instance=instance)

    file = Path(str(checks(result, "filtered", "quiz_a")["rows"].metadata["refused_rows"].value))
    rejected = [Rejection.model_validate_json(line) for line in file.read_bytes().splitlines()]
    assert {(r.gate, r.reason) for r in rejected} == {("judge", "not harmless")}
    assert all(r.scores["harmless"] == 0.0 for r in rejected)


def test_rows_that_are_replaced_while_they_are_filtered_are_read_as_one_version(
    mirror: Path,
    store: Store,
    instance: dg.DagsterInstance,
    employ: Employ,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    assert run("quiz", ROW_ASSETS[:4], subtasks="quiz_a", instance=instance).success
    enriched = PartitionKey("quiz", "enriched", "quiz_a")
    rows = list(store.read(enriched, EnrichedExample))
    really = Duplicates.refusals

    def replaced_meanwhile(duplicates: Duplicates) -> dict[int, Refusal]:
        with store.write(enriched) as out:
            out.put(rows[0])
        return really(duplicates)  # the stage then reads its rows a second time

    monkeypatch.setattr(Duplicates, "refusals", replaced_meanwhile)
    result = run("quiz", ["filtered"], subtasks="quiz_a", instance=instance)

    assert result.success, failures(result)
    filtered = store.read(PartitionKey("quiz", "filtered", "quiz_a"), EnrichedExample)
    assert list(filtered) == rows
