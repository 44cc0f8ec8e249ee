from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.gates.licence import Terms
from sdg_assets.records import CitedPassage, EnrichedExample, TeacherStamp
from sdg_assets.release import Cut, Release, write_release
from sdg_assets.release.publication import MANIFEST, hashes
from sdg_assets.release.spdx import NO_LICENCE, SPDX
from sdg_assets.stages.curated import curate
from sdg_assets_tests.release.test_release import INPUTS, cut
from sdg_assets_tests.support.passages import passage
from sdg_assets_tests.support.records import enriched, judgement, source
from sdg_assets_tests.support.spdx import Bill

LLAMA = TeacherStamp(model="meta/llama", revision="r2", license="LicenseRef-Llama-3.3")
NAMELESS = TeacherStamp(model="some-server", revision="unknown", license="unknown")
PROBE = TeacherStamp(model="org/probe", revision="r3", license="MIT")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Release[Path]:
    return cut(tmp_path_factory.mktemp("store"), bytes_per_shard=10_000)


def _bill(release: Release[Path]) -> Bill:
    bill = Bill(release.path / SPDX)
    assert bill.faults() == []
    return bill


def _released(root: Path, *rows: EnrichedExample) -> Bill:
    curated = curate(
        [("all", rows)], lambda _: {}, lambda _: {}, {"quiz": "yes"}, {LLAMA.model: Terms()}
    )
    terms = {LLAMA.model: "Name it."}
    return _bill(write_release(root, replace(Cut(INPUTS), terms=terms), curated))


def test_spdxs_own_model_reads_a_release_with_its_version_size_and_words(
    published: Release[Path],
) -> None:
    release = _bill(published).release()

    assert release["type"] == "dataset_DatasetPackage"
    assert release["software_packageVersion"] == f"1.0.0+{published.id}"
    assert release["dataset_datasetSize"] == 80
    croissant = json.loads((published.path / "croissant.json").read_text("utf-8"))
    assert release["description"] == croissant["description"]
    assert release["dataset_knownBias"] == croissant["rai:dataBiases"]


def test_every_other_file_is_named_with_its_hash(published: Release[Path]) -> None:
    bill = _bill(published)

    contained = bill.targets(bill.release(), "contains")

    stored = hashes(published.path)
    manifest = json.loads((published.path / MANIFEST).read_text("utf-8"))
    assert manifest["files"] == {name: sha for name, sha in stored.items() if name != MANIFEST}
    listed = {e["name"]: e["verifiedUsing"][0]["hashValue"] for e in contained}
    assert listed == {n: sha for n, sha in stored.items() if n not in (MANIFEST, SPDX)}
    (of_all,) = bill.release()["verifiedUsing"]
    together = "".join(sorted(listed.values())).encode()
    assert of_all["hashValue"] == hashlib.sha256(together).hexdigest()


def test_sources_and_passages_are_ancestors_with_revision_and_licence(tmp_path: Path) -> None:
    atlas = CitedPassage.of(passage(source="an atlas", license="CC-BY-SA-4.0"))
    bill = _released(
        tmp_path,
        enriched(source=source(dataset="org/a", license="MIT"), passages=[atlas]),
        enriched(question="Which?", source=source(dataset="org/b", license="other")),
    )

    origins = bill.targets(bill.release(), "descendantOf")

    assert [each["name"] for each in origins] == ["org/a", "org/b", "passages of an atlas"]
    assert origins[0]["software_packageVersion"] == "r0"
    stated = [bill.targets(origin, "hasDeclaredLicense") for origin in origins]
    expressions = [licence.get("simplelicensing_licenseExpression") for (licence,) in stated]
    assert expressions == ["MIT", None, "CC-BY-SA-4.0"]
    assert stated[1] == [{"spdxId": NO_LICENCE}]
    comments = [link["comment"] for link in bill.of_type("Relationship") if "comment" in link]
    assert "Stated as: other." in comments


def test_teachers_that_wrote_generate_the_release_which_uses_the_others(tmp_path: Path) -> None:
    scored = judgement(0.9).model_copy(update={"reasons": [], "judge": NAMELESS})
    bill = _released(
        tmp_path,
        enriched(teacher=LLAMA, solver=LLAMA, judge=scored, probe=PROBE, pass_rate=0.5),
    )
    release = bill.release()

    llama = bill.named("meta/llama")
    assert bill.targets(llama, "generates") == [release]
    assert llama["software_packageVersion"] == "r2"
    assert llama["comment"] == "Name it."
    tools = [e["name"] for e in bill.targets(release, "usesTool")]
    assert tools == ["sdg-assets 0.1.0", "org/probe", "some-server"]


def test_what_is_not_known_of_a_teacher_is_not_stated(tmp_path: Path) -> None:
    bill = _released(tmp_path, enriched(teacher=NAMELESS))

    nameless = bill.named("some-server")
    assert "software_packageVersion" not in nameless
    assert bill.targets(nameless, "hasDeclaredLicense") == [{"spdxId": NO_LICENCE}]


def test_a_licence_of_its_own_says_where_it_can_be_read(tmp_path: Path) -> None:
    bill = _released(tmp_path, enriched(teacher=LLAMA))

    (licence,) = bill.targets(bill.named("meta/llama"), "hasDeclaredLicense")
    own = bill.named("LicenseRef-Llama-3.3")
    (entry,) = licence["simplelicensing_customIdToUri"]
    assert (entry["key"], entry["value"]) == (own["name"], own["spdxId"])
    assert own["expandedlicensing_seeAlso"] == ["https://www.llama.com/llama3_3/license/"]


def test_two_cuts_have_the_same_bytes(published: Release[Path], tmp_path: Path) -> None:
    again = cut(tmp_path, bytes_per_shard=10_000)
    assert (again.path / SPDX).read_bytes() == (published.path / SPDX).read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda release: release.pop("dataset_datasetType"),
        lambda release: release.update(dataset_datasetType=["synthetic"]),
        lambda release: release.update(dataset_dataset_size=1),
        lambda release: release.update(originatedBy=["urn:example:nobody"]),
    ],
)
def test_a_damaged_document_is_told_apart(
    published: Release[Path], tmp_path: Path, damage: Callable[[dict[str, Any]], object]
) -> None:
    document = json.loads((published.path / SPDX).read_text("utf-8"))
    (release,) = (e for e in document["@graph"] if "dataset_datasetSize" in e)
    damage(release)
    file = tmp_path / SPDX
    file.write_text(json.dumps(document), "utf-8")

    with pytest.raises((ValueError, TypeError, KeyError, AssertionError)):
        assert Bill(file).faults() == []
