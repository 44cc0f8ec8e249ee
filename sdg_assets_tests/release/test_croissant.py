from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.release.croissant import CROISSANT, RAI_FIELDS
from sdg_assets_tests.release.test_release import cut

DATE = "datePublished"
"""The one recommended property that is left out: a date would differ from cut to cut."""


def _described(root: Path) -> dict[str, Any]:
    return dict(json.loads((cut(root).path / CROISSANT).read_text("utf-8")))


def test_mlcroissant_reads_every_row_of_every_configuration(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import mlcroissant  # takes seconds, as it imports torch

    release = cut(tmp_path, bytes_per_shard=20_000)

    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(str(release.path / CROISSANT))
    issues = dataset.metadata.ctx.issues
    assert (list(issues.errors), len(issues.warnings)) == ([], 1)
    assert DATE in issues.report()
    for name, rows in (("multiple_choice", 40), ("generative", 40), ("commercial_generative", 40)):
        files = list(
            (release.path / name.replace("_", "/", name.startswith("commercial"))).glob("*.parquet")
        )
        assert len(files) > 1
        records = list(dataset.records(name))
        assert len(records) == rows
        questions = {record[f"{name}/question"].decode() for record in records}
        assert len(questions) == rows
        (vote,) = records[0][f"{name}/votes"]
        assert vote[f"{name}/votes/count"] == 3
        assert records[0][f"{name}/source"][f"{name}/source/dataset"] == b"org/quiz"


def test_every_data_file_is_named_with_its_hash(tmp_path: Path) -> None:
    release = cut(tmp_path)

    described = json.loads((release.path / CROISSANT).read_text("utf-8"))
    listed = {
        entry["contentUrl"]: (entry["sha256"], entry["contentSize"])
        for entry in described["distribution"]
        if entry["@type"] == "cr:FileObject"
    }
    data = [f for ending in ("jsonl", "parquet") for f in release.path.rglob(f"train-*.{ending}")]
    stored = {
        file.relative_to(release.path).as_posix(): (
            hashlib.sha256(file.read_bytes()).hexdigest(),
            f"{file.stat().st_size} B",
        )
        for file in data
    }
    assert {name: listed[name] for name in stored} == stored


def test_the_fields_on_responsible_use_name_this_releases_facts(tmp_path: Path) -> None:
    described = _described(tmp_path)

    assert all(described[name] for name in RAI_FIELDS)
    assert described["rai:hasSyntheticData"] is True
    text = json.dumps([described[name] for name in RAI_FIELDS])
    for fact in (
        "org/teacher wrote and verified rows",
        "compared with no held-out data",
        "en (80)",
    ):
        assert fact in text
    (source,) = described["prov:wasDerivedFrom"]
    assert source["prov:label"] == "org/quiz"
    assert source["sc:version"] == ["r0"]
    activities = [a["prov:label"] for a in described["prov:wasGeneratedBy"]]
    assert "writer: org/teacher" in activities
    assert activities[-1] == "normalization, gates, deduplication and release"


def test_licences_with_an_spdx_identifier_are_addresses(tmp_path: Path) -> None:
    assert _described(tmp_path)["license"] == [
        "https://spdx.org/licenses/CC0-1.0.html",
        "https://spdx.org/licenses/MIT.html",
    ]


def test_two_cuts_describe_themselves_with_the_same_bytes(tmp_path: Path) -> None:
    first, second = (cut(tmp_path / name).path / CROISSANT for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
