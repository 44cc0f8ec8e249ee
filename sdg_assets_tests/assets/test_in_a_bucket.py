"""The whole pipeline with its store in a bucket."""

from __future__ import annotations

import logging
from pathlib import Path

import dagster as dg
import pytest

from sdg_assets.assets.curated import curated_asset
from sdg_assets.catalog import cached_catalog
from sdg_assets.records import EnrichedExample
from sdg_assets.release.publication import LATEST
from sdg_assets.release.published import releases
from sdg_assets.settings import settings
from sdg_assets.stages.funnel import materialized as funnel
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import listing
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.cities import put_rows, write_and_solve
from sdg_assets_tests.support.lineage import Json, events, write_events
from sdg_assets_tests.support.lineage import names as names_of
from sdg_assets_tests.support.object_server import BUCKET
from sdg_assets_tests.support.runs import QUIET, attempts, failures, metadata, run
from sdg_assets_tests.support.scripted_teacher import ScriptedTeacher
from sdg_assets_tests.support.stages import ROW_ASSETS

FILTERED = PartitionKey("quiz", "filtered", "quiz")


@pytest.fixture
def store(tmp_path: Path, bucket: str, configure: Configure) -> Store:
    catalog = write_catalog(tmp_path / "catalog", {"subtasks": {"quiz": {"config": "main"}}})
    rows: list[dict[str, object]] = [
        {"question": f"Which city is number {n}?", "choices": ["Oslo", "Rome"], "label": n % 2}
        for n in range(4)
    ]
    put_rows(tmp_path / "mirror", "main", rows)
    configure(
        catalog=catalog,
        seed_source=f"mirror:{tmp_path / 'mirror'}",
        store=bucket,
        browse_url="https://rows.example/sdg/",
    )
    return Store(settings().store)


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> ScriptedTeacher:
    teacher = ScriptedTeacher(write_and_solve)
    monkeypatch.setattr("sdg_assets.teacher.open_teacher", lambda _settings, _role: teacher)
    return teacher


def release(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [curated_asset(cached_catalog(settings().catalog))],
        instance=instance,
        run_config={"loggers": QUIET},
        raise_on_error=False,
    )


def test_every_stage_and_a_release_lie_in_the_bucket_and_no_secret_anywhere(
    store: Store,
    teacher: ScriptedTeacher,
    instance: dg.DagsterInstance,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_events(tmp_path / "events", monkeypatch)
    caplog.set_level(logging.DEBUG)
    result = run("quiz", ROW_ASSETS, instance=instance)
    assert result.success, failures(result)
    curated = release(instance)
    assert curated.success, failures(curated)

    rows = list(store.read(FILTERED, EnrichedExample))
    assert len(rows) == 4
    quiz = cached_catalog(settings().catalog).subtask("quiz", "quiz")
    assert [row.accepted for row in funnel(store, [quiz])] == [4]
    partition_metadata = metadata(instance, "quiz", "filtered", "quiz")
    assert partition_metadata["path"] == str(store.path(FILTERED))
    rows_page = "https://rows.example/sdg/subtasks/quiz/quiz/filtered"
    assert partition_metadata["browse"] == rows_page
    (event,) = curated.get_asset_materialization_events()
    page = event.materialization.metadata["browse"].value
    assert page == f"https://rows.example/sdg/releases/{releases(store.root)[0].id}"
    names = {listed.name for listed in listing(store.root)}
    assert f"curated/{LATEST}" in names
    assert any(name.startswith("quiz/completions/quiz/writer-") for name in names)
    _check_lineage(events(tmp_path / "events"), store, result.run_id)

    contents = [(store.root / name).read_bytes() for name in names]
    contents += [str(event).encode() for r in (result, curated) for event in r.all_events]
    contents.append(caplog.text.encode())
    whole = b"\n".join(contents)
    assert b"Oslo" in whole
    for secret in (b"QZX", b"qzx"):
        assert secret not in whole


def _check_lineage(told: list[Json], store: Store, run_id: str) -> None:
    """What each step told OpenLineage: its inputs, and what it published."""
    jobs = [*(f"quiz.{stage}" for stage in ROW_ASSETS), "curated"]
    steps = [(event["job"]["name"], event["eventType"]) for event in told]
    assert steps == [(job, state) for job in jobs for state in ("START", "COMPLETE")]
    ids = [event["run"]["runId"] for event in told]
    assert ids[::2] == ids[1::2]
    assert len(set(ids)) == len(jobs)
    parents = [event["run"]["facets"]["parent"]["run"]["runId"] for event in told]
    assert set(parents[:-2]) == {run_id} != {parents[-1]}
    root = f"s3://{BUCKET} {str(store.root).removeprefix(f's3://{BUCKET}/')}"
    ended = {event["job"]["name"]: event for event in told[1::2]}
    for stage in ROW_ASSETS:
        assert names_of(ended[f"quiz.{stage}"]["outputs"]) == [f"{root}/quiz/{stage}/quiz"]
    assert names_of(ended["quiz.seeds"]["inputs"])[0].endswith("datasets/org/quiz/main/train")

    (made,) = ended["quiz.generated"]["outputs"]
    (read,) = (each for each in ended["quiz.enriched"]["inputs"] if each["name"] == made["name"])
    assert read["facets"]["version"] == made["facets"]["version"]
    (output,), manifest = ended["quiz.filtered"]["outputs"], store.manifest(FILTERED)
    assert output["facets"]["version"]["datasetVersion"] == manifest.sha256
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == manifest.rows
    assert output["facets"]["dataSource"]["uri"] == str(store.root)
    columns = {each["name"]: each["type"] for each in output["facets"]["schema"]["fields"]}
    assert columns.keys() == EnrichedExample.model_fields.keys()
    assert (columns["question"], columns["votes"]) == ("string", "array<struct>")
    asked = ended["quiz.enriched"]["outputs"][0]["facets"]["sdg_license"]
    assert (asked["source"], asked["teachers"]) == ("org/quiz", ["scripted/teacher@r1"])

    (release,) = ended["curated"]["outputs"]
    assert names_of([release]) == [f"{root}/curated"]
    assert names_of(ended["curated"]["inputs"]) == [f"{root}/quiz/filtered/quiz"]
    assert release["facets"]["version"]["datasetVersion"] == releases(store.root)[0].id
    assert release["facets"]["sdg_license"]["license"] == "MIT"


def test_a_second_run_asks_the_teacher_nothing_again(
    store: Store, teacher: ScriptedTeacher, instance: dg.DagsterInstance
) -> None:
    assert run("quiz", ROW_ASSETS, instance=instance).success
    requests_before = len(teacher.requests)

    assert run("quiz", ["generated", "enriched"], instance=instance).success

    assert len(teacher.requests) == requests_before


def test_a_key_that_is_refused_fails_at_once_with_what_to_do(
    store: Store, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-qzx")

    result = run("quiz", ["seeds"], instance=instance)

    (message,) = failures(result)
    assert f"in bucket {BUCKET!r} (SignatureDoesNotMatch); set AWS_ACCESS_KEY_ID and" in message
    assert attempts(result) == 1
    assert not [event for event in result.all_events if "qzx" in str(event).lower()]
