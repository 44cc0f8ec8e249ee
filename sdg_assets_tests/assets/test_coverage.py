"""The asset `coverage`: made from the store, after each release or on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.automation import sensors
from sdg_assets.assets.coverage import coverage_asset
from sdg_assets.assets.jobs import make_coverage, release
from sdg_assets.catalog import cached_catalog
from sdg_assets.definitions import build_definitions
from sdg_assets.settings import settings
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.records import enriched
from sdg_assets_tests.support.runs import metadata_of_run


@pytest.fixture(autouse=True)
def catalog(tmp_path: Path, configure: Configure) -> None:
    off = {"enabled": False, "why": "too dull"}
    rivers = {"task": "rivers", "subtasks": {"nile": {}, "rhine": {}, "styx": off}}
    sums = {"task": "sums", "skills": ["arithmetic"], "subtasks": {"sums": {}}}
    place = write_catalog(tmp_path / "catalog", rivers, sums)
    configure(catalog=place, coverage_minimum=3, coverage_share=0.6)


def put(store: Store, task: str, subtask: str, rows: int) -> None:
    with store.write(PartitionKey(task, "filtered", subtask)) as out:
        for number in range(rows):
            out.accept(enriched(task=task, subtask=subtask, question=f"Which is {number}?"))


def metadata(instance: dg.DagsterInstance) -> dict[str, Any]:
    return metadata_of_run([coverage_asset(cached_catalog(settings().catalog))], instance)


def test_rows_of_enabled_subtasks_are_counted_with_holes_and_surpluses(
    instance: dg.DagsterInstance, store: Store
) -> None:
    put(store, "rivers", "nile", 2)
    put(store, "rivers", "rhine", 2)
    put(store, "rivers", "styx", 9)

    made = metadata(instance)

    counts = {name: made[name] for name in ("rows", "cells", "holes", "surpluses")}
    assert counts == {"rows": 4, "cells": 2, "holes": 1, "surpluses": 1}
    assert "| 4 | rivers/nile, rivers/rhine |" in made["page"].split("### Surpluses")[1]
    assert "| 0 | sums/sums |" in made["page"].split("### Holes")[1]
    assert made["picture"].startswith("![coverage](data:image/png;base64,iVBOR")


def test_an_empty_store_is_said_in_one_sentence(instance: dg.DagsterInstance) -> None:
    made = metadata(instance)

    assert (made["rows"], "picture" in made) == (0, False)
    assert made["page"].startswith(
        "Nothing to count: no `filtered` partition of an enabled subtask"
    )


def requests_after(
    instance: dg.DagsterInstance, job: str, *assets: dg.AssetKey
) -> dg.RunRequest | dg.SkipReason:
    definitions = build_definitions()
    run = instance.create_run_for_job(
        definitions.resolve_job_def(job), asset_selection=frozenset(assets) or None
    )
    event = dg.DagsterEvent("PIPELINE_SUCCESS", job)
    (sensor,) = [s for s in sensors() if s.name == "coverage_after_release"]
    assert isinstance(sensor, dg.RunStatusSensorDefinition)
    context = dg.build_run_status_sensor_context("coverage_after_release", event, instance, run)
    answer = sensor(context)
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def test_it_is_made_after_a_release_but_not_after_other_runs(
    instance: dg.DagsterInstance,
) -> None:
    curated, coverage = dg.AssetKey("curated"), dg.AssetKey("coverage")

    for job, assets, follows in [
        (release.name, (), True),
        ("__ASSET_JOB", (curated,), True),
        ("__ASSET_JOB", (curated, coverage), False),
        (make_coverage.name, (), False),
        ("__ASSET_JOB", (dg.AssetKey("operations"),), False),
    ]:
        assert isinstance(requests_after(instance, job, *assets), dg.RunRequest) is follows, job
