from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import dagster as dg
import jsonschema
import pytest

from sdg_assets.assets import lineage
from sdg_assets.assets.curated import curated_asset
from sdg_assets.catalog import cached_catalog
from sdg_assets.lineage.datasets import columns
from sdg_assets.records import EnrichedExample
from sdg_assets.settings import settings
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.lineage.schema import run_event
from sdg_assets_tests.support.cities import Employ, write_and_solve
from sdg_assets_tests.support.object_server import BUCKET, free_ports
from sdg_assets_tests.support.runs import QUIET, failures, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.stages import ROW_ASSETS

Json = dict[str, Any]
FILE = "OPENLINEAGE__TRANSPORT__TYPE"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which events go."""
    path = tmp_path / "events.jsonl"
    monkeypatch.setenv(FILE, "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(path))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    return path


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    facet = json.loads((files("sdg_assets.lineage") / "LicenseDatasetFacet.json").read_text())
    jsonschema.Draft202012Validator.check_schema(facet)
    schema = run_event({name: facet[name] for name in facet if name not in ("$id", "$schema")})
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def events(log: Path, validator: jsonschema.Draft202012Validator) -> list[Json]:
    """The events that were sent, each valid."""
    read = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for event in read:
        faults = [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(event)]
        assert not faults, faults[:3]
    return read


def names(datasets: list[Json]) -> list[str]:
    return [f"{each['namespace']} {each['name']}" for each in datasets]


def test_every_step_tells_what_it_reads_and_makes(
    mirror: Path,
    bucket: str,
    configure: Configure,
    instance: dg.DagsterInstance,
    employ: Employ,
    log: Path,
    validator: jsonschema.Draft202012Validator,
) -> None:
    configure(store=bucket)
    employ(ScriptedTeacher(write_and_solve))

    result = run("quiz", subtasks=("quiz_a", "quiz_b"), instance=instance)

    assert not failures(result)
    told = events(log, validator)
    assert [(e["job"]["name"], e["eventType"]) for e in told] == [
        (f"quiz.{stage}", state) for stage in ROW_ASSETS for state in ("START", "COMPLETE")
    ]
    ids = [e["run"]["runId"] for e in told]
    assert ids[::2] == ids[1::2]
    assert len(set(ids)) == len(ROW_ASSETS)
    assert {e["run"]["facets"]["parent"]["run"]["runId"] for e in told} == {result.run_id}
    prefix = bucket.removeprefix(f"s3://{BUCKET}/")
    places = {
        stage: [f"s3://{BUCKET} {prefix}/quiz/{stage}/{key}" for key in ("quiz_a", "quiz_b")]
        for stage in ROW_ASSETS
    }
    ended = {e["job"]["name"].removeprefix("quiz."): e for e in told[1::2]}
    for stage, event in ended.items():
        assert names(event["outputs"]) == places[stage]
    assert set(names(ended["enriched"]["inputs"])) >= set(places["generated"])
    assert names(ended["seeds"]["inputs"])[0].endswith("datasets/org/quiz/quiz_a/train")
    assert all(
        e["inputs"] == after["inputs"] for e, after in zip(told[::2], told[1::2], strict=True)
    )

    (output, _) = ended["enriched"]["outputs"]
    manifest = Store(settings().store).manifest(PartitionKey("quiz", "enriched", "quiz_a"))
    assert output["facets"]["version"]["datasetVersion"] == manifest.sha256
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == manifest.rows > 0
    assert output["facets"]["dataSource"]["uri"] == bucket
    assert output["facets"]["sdg_license"]["teachers"] == ["scripted/teacher@r1"]
    assert output["facets"]["sdg_license"]["source"] == "org/quiz"
    told_columns = {c["name"]: c["type"] for c in output["facets"]["schema"]["fields"]}
    assert told_columns.keys() == EnrichedExample.model_fields.keys()
    assert told_columns["question"] == "string"
    assert told_columns["votes"] == "array<struct>"
    # What a stage reads has the version that the stage before has published.
    published = {name: d for d, name in _named(ended["generated"]["outputs"])}
    for dataset, name in _named(ended["enriched"]["inputs"]):
        if name in published:
            assert dataset["facets"] == published[name]["facets"] | {
                "sdg_license": dataset["facets"]["sdg_license"]
            }


def test_a_release_is_made_of_the_partitions_that_are_in_it(
    mirror: Path,
    instance: dg.DagsterInstance,
    employ: Employ,
    log: Path,
    validator: jsonschema.Draft202012Validator,
) -> None:
    employ(ScriptedTeacher(write_and_solve))
    run("quiz", subtasks="quiz_a", instance=instance)

    asset = curated_asset(cached_catalog(settings().catalog))
    assert dg.materialize([asset], instance=instance, run_config={"loggers": QUIET}).success

    event = events(log, validator)[-1]
    assert (event["job"]["name"], event["eventType"]) == ("curated", "COMPLETE")
    root = Path(settings().store).resolve()
    assert names(event["inputs"]) == [f"file {root}/quiz/filtered/quiz_a"]
    (release,) = event["outputs"]
    assert names([release]) == [f"file {root}/curated"]
    assert (
        release["facets"]["version"]["datasetVersion"]
        == (root / "curated" / "LATEST").read_text().strip()
    )
    assert release["facets"]["sdg_license"]["license"] == "MIT"


def _named(datasets: list[Json]) -> list[tuple[Json, str]]:
    return list(zip(datasets, names(datasets), strict=True))


def test_a_step_that_fails_says_why_and_what_it_has_published(
    mirror: Path,
    instance: dg.DagsterInstance,
    log: Path,
    validator: jsonschema.Draft202012Validator,
) -> None:
    (mirror / "org" / "quiz" / "quiz_b" / "train.jsonl").write_text("no JSON\n")

    run("quiz", ["seeds"], subtasks=("quiz_a", "quiz_b"), instance=instance)

    last = events(log, validator)[-1]
    assert last["eventType"] == "FAIL"
    assert last["run"]["facets"]["errorMessage"]["message"].startswith("quiz_b: ")
    assert [name.rpartition("/")[2] for name in names(last["outputs"])] == ["quiz_a"]


def test_a_server_that_is_gone_is_a_warning_of_a_step_that_succeeds(
    mirror: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv(FILE, "http")
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
    votes = next(c for c in columns(EnrichedExample) if c.name == "votes")

    assert votes.type == "array<struct>"
    assert {"answer", "count"} <= {c.name for c in votes.fields or []}
