from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sdg_assets.catalog.taxonomy import load_taxonomy
from sdg_assets.errors import PermanentError
from sdg_assets.gates.licence import Terms
from sdg_assets.prices import Price
from sdg_assets.records import (
    AnswerKind,
    CommercialUse,
    CuratedExample,
    EnrichedExample,
    Judgement,
    Refusal,
    Rejection,
)
from sdg_assets.release import Cut, Release, write_release
from sdg_assets.release.configs import FAMILIES
from sdg_assets.release.publication import LATEST
from sdg_assets.release.shards import BYTES_PER_SHARD
from sdg_assets.stages.cost import PriceList
from sdg_assets.stages.curated import curate
from sdg_assets.stages.funnel import FunnelRow
from sdg_assets.stages.matrix import matrix_of
from sdg_assets.stages.relicensed import Relicensed
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.records import STAMP, enriched, judgement, source

ONLY = "train-00000-of-00001"
INPUTS = {"quiz/filtered/quiz": "aa", "sums/filtered/sums": "bb"}


def verified_rows(count: int = 40) -> list[EnrichedExample]:
    quiz = [
        enriched(question=f"What is the capital of state {n}?", judge=judged(n))
        for n in range(count)
    ]
    sums = [
        enriched(
            task="sums",
            subtask="sums",
            answer_kind=AnswerKind.NUMERIC,
            question=f"What is {n} plus {n}?",
            answer=str(2 * n),
            source=source(license="CC0-1.0"),
            knowledge="",
        )
        for n in range(count)
    ]
    return [*quiz, *sums, quiz[0]]


def judged(number: int) -> Judgement | None:
    return judgement(0.5) if number % 2 else None


def cut(
    root: Path,
    *,
    count: int = 40,
    sums: CommercialUse = "yes",
    inputs: dict[str, str] | None = None,
    bytes_per_shard: int = BYTES_PER_SHARD,
) -> Release[Path]:
    rows = curated_rows(count, sums)
    return write_release(
        root, Cut(INPUTS if inputs is None else inputs), rows, bytes_per_shard=bytes_per_shard
    )


def curated_rows(
    count: int = 40, sums: CommercialUse = "yes"
) -> Iterator[CuratedExample | Rejection]:
    rows = verified_rows(count)
    copies = {"all": {len(rows) - 1: Refusal("duplicates", "exact duplicate", rows[0].id)}}
    use: dict[str, CommercialUse] = {"quiz": "no", "sums": sums}
    terms = {STAMP.model: Terms("yes", "yes")}
    return curate([("all", rows)], copies.__getitem__, lambda _: {}, use, terms)


def releases(root: Path) -> list[str]:
    """The ids of the visible releases."""
    return [p.name for p in (root / "curated").iterdir() if p.is_dir() and p.name[0] != "."]


def contents(directory: Path) -> dict[str, bytes]:
    files = (f for f in sorted(directory.rglob("*")) if f.is_file())
    return {str(f.relative_to(directory)): f.read_bytes() for f in files}


def test_a_release_has_two_families_as_jsonl_and_parquet_and_a_card(tmp_path: Path) -> None:
    release = cut(tmp_path)

    assert release.path == tmp_path / "curated" / release.id
    assert set(contents(release.path)) == {
        *(f"pictures/{name}.png" for name in ("domains", "funnel", "lengths", "votes")),
        "README.md",
        "SOURCES.md",
        "ATTRIBUTION.md",
        "commercial/SOURCES.md",
        "commercial/ATTRIBUTION.md",
        "croissant.json",
        "spdx.json",
        "heldout.jsonl",
        "heldout_audit.jsonl",
        "manifest.json",
        f"generative/{ONLY}.jsonl",
        f"generative/{ONLY}.parquet",
        f"multiple_choice/{ONLY}.jsonl",
        f"multiple_choice/{ONLY}.parquet",
        f"commercial/generative/{ONLY}.jsonl",
        f"commercial/generative/{ONLY}.parquet",
        f"rejected/{ONLY}.jsonl",
    }
    figures = release.statistics
    assert (figures.rows, figures.rejected.total(), figures.commercial) == (80, 1, 40)
    assert figures.families == {"multiple_choice": 40, "generative": 40}
    assert (tmp_path / "curated" / LATEST).read_text() == f"{release.id}\n"


def test_shards_have_a_bounded_size_and_hold_the_rows_in_order(tmp_path: Path) -> None:
    whole, cut_up = cut(tmp_path / "one"), cut(tmp_path / "many", bytes_per_shard=10_000)

    for family in FAMILIES:
        shards = sorted((cut_up.path / family).glob("*.jsonl"))
        assert len(shards) > 2
        assert shards[0].name == f"train-00000-of-{len(shards):05}.jsonl"
        assert max(shard.stat().st_size for shard in shards) < 15_000
        lines = b"".join(shard.read_bytes() for shard in shards)
        assert lines == (whole.path / family / f"{ONLY}.jsonl").read_bytes()
        frames = [pl.read_parquet(shard.with_suffix(".parquet")) for shard in shards]
        whole_frame = pl.read_parquet(whole.path / family / f"{ONLY}.parquet")
        assert pl.concat(frames).equals(whole_frame)


def test_the_commercial_subset_holds_only_rows_whose_licences_permit_it(tmp_path: Path) -> None:
    release = cut(tmp_path)

    lines = (release.path / "commercial" / "generative" / f"{ONLY}.jsonl").read_bytes().splitlines()
    rows = [CuratedExample.model_validate_json(line) for line in lines]
    assert len(rows) == 40
    assert {row.commercial_use for row in rows} == {"yes"}
    assert not (release.path / "commercial" / "multiple_choice").exists()


def test_two_runs_are_byte_identical(tmp_path: Path) -> None:
    one, two = cut(tmp_path / "one", count=500), cut(tmp_path / "two", count=500)

    assert one.id == two.id
    assert contents(one.path) == contents(two.path)


def test_jsonl_and_parquet_hold_the_same_rows(tmp_path: Path) -> None:
    release = cut(tmp_path)

    for family in FAMILIES:
        lines = (release.path / family / f"{ONLY}.jsonl").read_text("utf-8").splitlines()
        rows = [CuratedExample.model_validate_json(line).model_dump(mode="json") for line in lines]
        frame = pl.read_parquet(release.path / family / f"{ONLY}.parquet")
        for row, column_row in zip(rows, frame.to_dicts(), strict=True):
            variants = {k: v for k, v in column_row["text"].items() if v is not None}
            assert {**column_row, "text": variants} == row


def test_a_release_loads_as_a_dataset(tmp_path: Path) -> None:
    # In a subprocess: the library is slow to import, and no other test needs it.
    release = cut(tmp_path)
    program = f"""
import datasets
for config in datasets.get_dataset_config_names({str(release.path)!r}):
    rows = datasets.load_dataset({str(release.path)!r}, config, split="train")
    print(config, rows.num_rows, rows[0]["answer"], rows[0]["source"]["license"])
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )

    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [
        "commercial_generative 40 0 CC0-1.0",
        "generative 40 0 CC0-1.0",
        "multiple_choice 40 Paris MIT",
    ]


def test_the_manifest_says_what_went_in_and_what_came_out(tmp_path: Path) -> None:
    release = cut(tmp_path)

    manifest = json.loads((release.path / "manifest.json").read_text("utf-8"))

    assert manifest["release"] == release.id
    assert manifest["inputs"] == INPUTS
    assert manifest["rows"] == {"multiple_choice": 40, "generative": 40}
    assert manifest["licences"] == {"CC0-1.0": 40, "MIT": 40}
    assert manifest["commercial_rows"] == 40
    assert manifest["rejected"] == {"duplicates: exact duplicate": 1}
    assert manifest["tasks"]["sums"]["rows"] == 40
    assert {(t["role"], t["model"], t["revision"]) for t in manifest["teachers"]} == {
        (role, STAMP.model, STAMP.revision) for role in ("writer", "solver", "judge")
    }
    for name, digest in manifest["files"].items():
        data = (release.path / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest


def test_rejected_rows_are_kept_with_their_reason(tmp_path: Path) -> None:
    release = cut(tmp_path)

    (line,) = (release.path / "rejected" / f"{ONLY}.jsonl").read_text("utf-8").splitlines()

    assert Rejection.model_validate_json(line).gate == "duplicates"


def test_another_input_makes_another_release(tmp_path: Path) -> None:
    one = cut(tmp_path)
    two = cut(tmp_path, inputs={**INPUTS, "sums/filtered/sums": "cc"})

    assert one.id != two.id
    assert one.path.is_dir()
    assert two.path.is_dir()


def test_a_changed_licence_makes_another_release(tmp_path: Path) -> None:
    # The licence comes from the catalog, not from the partitions' files, but it changes the rows.
    assert cut(tmp_path).id != cut(tmp_path, sums="unclear").id


def test_a_release_without_rows_is_none_and_says_why(tmp_path: Path) -> None:
    refused = Rejection(gate="duplicates", reason="exact duplicate", row={})

    with pytest.raises(PermanentError, match=r"no row is left .*exact duplicate': 2"):
        write_release(tmp_path, Cut({}), iter((refused, refused)))
    assert releases(tmp_path) == []


def test_a_failure_while_writing_leaves_the_earlier_releases_and_no_debris(tmp_path: Path) -> None:
    first = cut(tmp_path)
    before = contents(tmp_path)

    def failing() -> Iterator[CuratedExample | Rejection]:
        yield from curated_rows(3)
        raise RuntimeError("the store is corrupt")

    with pytest.raises(RuntimeError, match="corrupt"):
        write_release(tmp_path, Cut({"another": "input"}), failing())

    assert contents(tmp_path) == before
    assert releases(tmp_path) == [first.id]


@pytest.mark.parametrize("same", [True, False], ids=["the same again", "another"])
def test_a_run_killed_while_writing_leaves_the_previous_release_whole(
    tmp_path: Path, same: bool
) -> None:
    first = cut(tmp_path)
    before = contents(first.path)
    program = f"""
import os, signal
from pathlib import Path
from sdg_assets.release import shards
from sdg_assets_tests.release.test_release import INPUTS, cut
shards._to_parquet = lambda jsonl: os.kill(os.getpid(), signal.SIGKILL)
cut(Path({str(tmp_path)!r}), inputs={{**INPUTS, "more": "{"" if same else "dd"}"}})
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL

    assert contents(first.path) == before
    assert releases(tmp_path) == [first.id]
    assert contents(cut(tmp_path).path) == before


def test_the_same_release_again_does_not_touch_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def funnel(tokens: int) -> FunnelRow:
        counts = (50, 50, 60, 55, 45, 40)
        return FunnelRow(
            "quiz", "quiz", "multiple_choice", *counts, Counter(), tokens, 1.0 / tokens
        )

    def run(tokens: int) -> Release[Path]:
        return write_release(tmp_path, Cut(INPUTS, funnels=[funnel(tokens)]), curated_rows())

    first = run(tokens=900)
    before, changed = contents(first.path), first.path.stat().st_ctime_ns
    rename = Path.rename

    def never_a_release(this: Path, target: Path) -> Path:
        assert this.suffix != ".tmp", f"moved to {target}"
        return rename(this, target)

    monkeypatch.setattr(Path, "rename", never_a_release)

    assert run(tokens=7) == first, "what a run costs is no part of a release"
    assert contents(first.path) == before
    assert first.path.stat().st_ctime_ns == changed
    (counts,) = json.loads(before["manifest.json"])["funnel"]
    assert counts.keys().isdisjoint({"tokens", "new_tokens", "seconds", "costs"})


DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "name": {"name": "Another name"},
    "terms of a teacher": {"terms": {STAMP.model: 'Show "Built with X".'}},
    "citation": {"citations": {"quiz": ["@misc{quiz}"]}},
    "prices": {"prices": PriceList("EUR", {STAMP.model: Price(gpu_hour=2.0)})},
    "threshold of the coverage": {"minimum": 50},
    "corrected licence": {"relicensed": {Relicensed("dataset", "org/quiz", "MIT", "CC0-1.0"): 7}},
}


@pytest.mark.parametrize("changed", DESCRIPTIONS)
def test_what_a_release_says_of_its_rows_is_published_as_a_patch(
    tmp_path: Path, changed: str
) -> None:
    def described(minimum: int = 1, **fields: Any) -> Release[Path]:
        specs, taxonomy = [seed_task().resolve("quiz")], load_taxonomy()
        matrix = partial(matrix_of, specs, taxonomy=taxonomy, minimum=minimum, share=0.5)
        return write_release(tmp_path, Cut(INPUTS, matrix=matrix, **fields), curated_rows())

    first = described()
    before = contents(first.path)

    second = described(**DESCRIPTIONS[changed])
    again = described(**DESCRIPTIONS[changed])

    assert first.id != second.id == again.id
    assert (first.version, second.version) == ("1.0.0", "1.0.1")
    assert contents(first.path) == before, "a release is never changed"
    assert (tmp_path / "curated" / LATEST).read_text() == f"{second.id}\n"


def test_corrected_terms_of_a_teacher_reach_every_page_and_the_changelog(tmp_path: Path) -> None:
    for terms in ("No conditions.", 'Show "Built with X".'):
        release = write_release(tmp_path, Cut(INPUTS, terms={STAMP.model: terms}), curated_rows())

    for page in ("SOURCES.md", "commercial/SOURCES.md", "croissant.json", "spdx.json"):
        text = (release.path / page).read_text("utf-8")
        assert "Built with X" in text, page
        assert "No conditions." not in text, page
    assert f"| terms of teacher | {STAMP.model} |" in (release.path / "README.md").read_text(
        "utf-8"
    )


def test_a_damaged_release_is_mended(tmp_path: Path) -> None:
    first = cut(tmp_path)
    before = contents(first.path)
    (first.path / "generative" / f"{ONLY}.jsonl").write_text("")
    (first.path / "generative" / "left over.jsonl").write_text("")
    shutil.rmtree(first.path / "multiple_choice")

    again = cut(tmp_path)

    assert again.id == first.id
    assert contents(again.path) == before
    assert releases(tmp_path) == [first.id]
