from __future__ import annotations

from pathlib import Path

import dagster as dg

from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.cities import put_rows
from sdg_assets_tests.support.runs import attempts, checks, failed, failures, run


def test_one_odd_seed_is_refused_and_breaks_nothing(
    mirror: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    # Like 122 rows of commonsense_qa and 15 of openbookqa, which contain an option twice.
    repeated_choice = {"question": "Which city?", "choices": ["Oslo", "Oslo"], "label": 0}
    sound = [
        {"question": f"Which city is number {n}?", "choices": ["Oslo", "Rome"], "label": 0}
        for n in range(30)
    ]
    put_rows(mirror, "quiz_a", [repeated_choice, *sound])

    result = run("quiz", ["seeds", "normalized"], subtasks="quiz_a", instance=instance)

    assert result.success, failures(result)
    key = PartitionKey("quiz", "normalized", "quiz_a")
    assert store.manifest(key).rows == 30
    (refused,) = store.read_rejected(key)
    assert (refused.gate, refused.reason) == ("schema", "repeated choices")
    assert refused.row["choices"] == ["Oslo", "Oslo"]
    schema = checks(result, "normalized", "quiz_a")["schema"]
    assert schema.passed
    assert "1 of 31 seeds break it" in str(schema.metadata["summary"].value)
    assert "repeated choices" in str(schema.metadata["offending_rows"].value)


def test_a_stage_whose_input_is_not_there_yet(instance: dg.DagsterInstance) -> None:
    message = failed(run("arc", ["normalized"], instance=instance))

    assert message.startswith("arc_easy: arc/seeds/arc_easy: not in the store (")
    assert message.endswith("; materialize it first")


def test_a_mapping_that_renders_nothing(
    tmp_path: Path, mirror: Path, instance: dg.DagsterInstance, configure: Configure
) -> None:
    record = {"question": "{{prompt}}", "answer": "{{label}}"}
    configure(
        catalog=write_catalog(
            tmp_path / "wrong", {"record": record, "subtasks": {"quiz_a": {"config": "quiz_a"}}}
        )
    )

    result = run("quiz", ["seeds", "normalized"], instance=instance)

    (message,) = failures(result)
    assert message.startswith(
        "quiz_a: quiz/quiz_a (org/quiz, quiz_a, train): the mapping renders no example from 4 "
        "rows: row 0: record.question: 'prompt' is undefined; row 1: "
    )
    assert attempts(result) == 2  # one per stage
