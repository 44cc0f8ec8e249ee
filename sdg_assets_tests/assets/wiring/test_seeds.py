from __future__ import annotations

from pathlib import Path

import dagster as dg

from sdg_assets.assets.knobs import StageConfig, from_run_tags
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.cities import Employ, numbered_cities, put_rows, write_and_solve
from sdg_assets_tests.support.runs import failed, failures, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.stages import ROW_ASSETS


def test_fewer_seeds_are_published_if_they_were_asked_for_and_not_if_the_split_shrank(
    mirror: Path, store: Store, instance: dg.DagsterInstance, employ: Employ, configure: Configure
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    put_rows(mirror, "quiz_a", numbered_cities(40))
    assert run("quiz", subtasks="quiz_a", instance=instance).success
    put_rows(mirror, "quiz_a", numbered_cities(10))

    (message,) = failures(run("quiz", ["seeds"], subtasks="quiz_a", instance=instance))
    assert "rows: 10 of 40 rows are left; in the published version 40 of 40 are" in message
    assert store.manifest(PartitionKey("quiz", "seeds", "quiz_a")).rows == 40

    configure(max_seeds=10)
    result = run("quiz", subtasks="quiz_a", instance=instance)
    assert result.success, failures(result)
    for stage in ROW_ASSETS:
        assert store.manifest(PartitionKey("quiz", stage, "quiz_a")).rows == 10


def test_a_run_tag_accepts_the_loss_too(mirror: Path) -> None:
    config = from_run_tags(StageConfig(), {"sdg/accept_smaller": "true"})

    assert config.accept_smaller is True


def test_a_missing_mirror_directory(instance: dg.DagsterInstance, configure: Configure) -> None:
    configure(seed_source="mirror:/no/such/hub")

    message = failed(run("arc", ["seeds"], instance=instance))

    assert message.startswith(
        "arc_easy: SDG_SEED_SOURCE=mirror:/no/such/hub: /no/such/hub is not a directory"
    )


def test_a_mirror_without_the_dataset(
    instance: dg.DagsterInstance, configure: Configure, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    configure(seed_source=f"mirror:{tmp_path / 'empty'}")

    message = failed(run("arc", ["seeds"], instance=instance))

    assert "arc/arc_easy: mirror:" in message
    assert "has no allenai/ai2_arc (config ARC-Easy)" in message


def test_a_row_of_a_mirror_that_is_no_json(mirror: Path, instance: dg.DagsterInstance) -> None:
    file = mirror / "org" / "quiz" / "quiz_a" / "train.jsonl"
    file.write_text(file.read_text("utf-8") + "{oops\n", "utf-8")

    message = failed(run("quiz", ["seeds"], subtasks="quiz_a", instance=instance))

    assert message.startswith(f"quiz_a: {file}:5: not JSON")
