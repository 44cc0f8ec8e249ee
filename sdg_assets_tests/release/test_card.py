"""The dataset card: the page for people and the header for the Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdg_assets.catalog.citations import citations
from sdg_assets.catalog.taxonomy import load_taxonomy
from sdg_assets.gates.licence import Terms
from sdg_assets.heldout.coverage import SplitCoverage
from sdg_assets.prices import Price
from sdg_assets.records import CuratedExample, Role
from sdg_assets.release import Cut, Release, write_release
from sdg_assets.release.audit import Compared, NearRow
from sdg_assets.release.card import for_repository
from sdg_assets.release.embedded import embedded_comparison
from sdg_assets.stages.cost import Cost, PriceList
from sdg_assets.stages.curated import curate
from sdg_assets.stages.funnel import FunnelRow
from sdg_assets.stages.matrix import matrix_of
from sdg_assets.store.notes import VERDICTS, Note
from sdg_assets_tests.release.test_release import INPUTS, curated_rows, verified_rows
from sdg_assets_tests.support.builders import seed_task
from sdg_assets_tests.support.records import STAMP

FUNNELS = [
    FunnelRow("quiz", "quiz", "multiple_choice", 50, 50, 60, 55, 45, 40, Counter(), 900, 1.0),
    FunnelRow("sums", "sums", "numeric", 80, 80, 80, 70, 50, 40, Counter(), 900, 1.0),
]
NEAREST = [NearRow("a", 0.52), NearRow("b", 0.4)]
QUIZ = seed_task(subtasks={"quiz": {}})
SUMS = seed_task(task="sums", skills=["arithmetic"], subtasks={"sums": {}, "more_sums": {}})
SUBTASKS = [QUIZ.resolve("quiz"), SUMS.resolve("sums")]


def notes() -> list[Note]:
    """Verdicts on two released rows, and on one that the release does not hold."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    good, bad = VERDICTS
    said = (
        (verified_rows()[0].id, good, ""),
        (verified_rows()[1].id, bad, "too|easy"),
        ("elsewhere", bad, "gone"),
    )
    return [
        Note(row=row, stage="filtered", version="v", verdict=verdict, why=why, reviewer="a", at=now)
        for row, verdict, why in said
    ]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release[Path]:
    cut = Cut(
        INPUTS,
        name="Questions for models",
        funnels=FUNNELS,
        citations={"sums": ["@article{sums,\n  title={Sums}\n}"], "other": ["@article{other,\n}"]},
        compared_with={"gsm8k/gsm8k": "aa", "mmlu": "bb"},
        audit=lambda: [
            Compared(
                "gsm8k/gsm8k", 3, 7, 0, 83, 1319, 0.3, [NearRow("a", 0.52), NearRow("b", 0.4)]
            ),
            Compared("mmlu", compared=83, heldout_rows=14042, least_score=0.3),
        ],
        terms={STAMP.model: "Say where it comes from.", "org/another": "Nothing."},
        coverage=[
            SplitCoverage("gsm8k/gsm8k", "openai/gsm8k", "main", "test", "compared", 1319),
            SplitCoverage("hle", "cais/hle", "default", "test", "left out by name"),
            SplitCoverage("quiz/quiz", "org/quiz", "main", "test", "not in the source"),
            SplitCoverage("quiz/quiz_b", "org/quiz", "b", "test", "not in the source"),
        ],
        notes=notes(),
        matrix=partial(matrix_of, SUBTASKS, taxonomy=load_taxonomy(), minimum=30, share=0.8),
    )
    return write_release(tmp_path_factory.mktemp("store"), cut, curated_rows())


def header(release: Release[Path]) -> dict[str, Any]:
    text = (release.path / "README.md").read_text("utf-8")
    _, front, _ = text.split("---\n", 2)
    parsed: dict[str, Any] = yaml.safe_load(front)
    return parsed


def page(release: Release[Path]) -> str:
    return (release.path / "README.md").read_text("utf-8").split("---\n", 2)[2]


def test_the_card_states_how_many_rows_were_read_and_what_was_found(
    release: Release[Path],
) -> None:
    manifest = json.loads((release.path / "manifest.json").read_text("utf-8"))

    assert "2 rows were read by 1 person: 1 of them (50%) were found bad." in page(release)
    assert "| too\\|easy | 1 |" in page(release)
    assert (manifest["review"]["read"], manifest["review"]["bad"]) == (2, 1)


def test_the_card_states_what_an_accepted_row_cost_by_task_role_and_teacher(
    release: Release[Path], tmp_path: Path
) -> None:
    assert "## What it cost\n\nNot recorded.\n" in page(release)
    counts = (50, 50, 60, 55, 45, 40, Counter[str](), 900, 1.0)
    costs = [
        Cost(Role.WRITER, "org/writer", 60, 40_000, 8_000, 80.0),
        Cost(Role.SOLVER, "org/solver", 120, 20_000, 12_000, None),
    ]
    priced = PriceList("EUR", {"org/writer": Price(gpu_hour=3.6)})
    funnels = [FunnelRow("quiz", "quiz", "multiple_choice", *counts, unfinished=9, costs=costs)]

    cut = Cut(INPUTS, funnels=funnels, prices=priced)
    text = page(write_release(tmp_path, cut, curated_rows(3)))

    header, _, *lines = text.split("## What it cost")[1].split("## ")[0].strip().splitlines()[2:]
    assert header.endswith("| GPU-seconds | EUR |")
    assert lines[:3] == [
        "| quiz | writer | org/writer | 1,000.0 | 200.0 | 2.000 | 0.002000 |",
        "| quiz | solver | org/solver | 500.0 | 300.0 | unknown | unknown |",
        "| quiz | all |  | 1,500.0 | 500.0 | unknown | unknown |",
    ]
    assert "9 rows of `generated` and `enriched` are not finished" in text


def test_rows_that_were_read_later_get_a_card_of_their_own(tmp_path: Path) -> None:
    before = write_release(tmp_path, Cut(INPUTS), curated_rows(3))
    after = write_release(tmp_path, Cut(INPUTS, notes=notes()[:1]), curated_rows(3))

    assert before.id != after.id
    assert "Nobody has read rows" in page(before)


def test_the_header_has_the_fields_of_the_hub(release: Release[Path]) -> None:
    front = header(release)

    assert front["pretty_name"] == "Questions for models"
    assert front["license"] == "other", "rows of several licences"
    assert front["language"] == ["en"]
    assert front["size_categories"] == ["n<1K"]
    assert front["source_datasets"] == ["org/quiz"]
    assert "multiple-choice" in front["task_categories"]
    assert [config["config_name"] for config in front["configs"]] == [
        "multiple_choice", "generative", "commercial_generative",
    ]  # fmt: skip
    assert [config.get("default") for config in front["configs"]] == [True, None, None]


def test_the_hubs_own_library_accepts_the_header(release: Release[Path]) -> None:
    program = f"""
import json
from huggingface_hub import DatasetCard
import datasets
card = DatasetCard.load({str(release.path / "README.md")!r})
results = {{}}
for info in card.data.dataset_info:
    loaded = datasets.load_dataset({str(release.path)!r}, info["config_name"], split="train")
    declared = datasets.Features._from_yaml_list(info["features"])
    results[info["config_name"]] = [
        loaded.num_rows == info["splits"][0]["num_examples"], declared == loaded.features
    ]
print(json.dumps(results))
"""
    environment = {**os.environ, "HF_HOME": str(release.path.parent), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        config["config_name"]: [True, True] for config in header(release)["configs"]
    }


@pytest.mark.parametrize(
    "line",
    [
        "| MIT | 40 | 50.0% |",
        "| CC0-1.0 | 40 | 50.0% |",
        "| `commercial_generative` | 40 |",
        f"| writer | {STAMP.model} | `{STAMP.revision}` | 80 |",
        "| [org/quiz](https://huggingface.co/datasets/org/quiz) | `r0` | CC0-1.0, MIT | 80 |",
        "40 of 80 rows are in the commercial configurations.",
        "| seeds of quiz (MIT): commercial use: no | 40 |",
        f"- **{STAMP.model}**: Say where it comes from.",
        "| gsm8k/gsm8k | 3 | 7 |",
        "| gsm8k/gsm8k | 1,319 | 83 | 0.52 0.40 |",
        "scores below 0.3 are not computed",
        "hashed n-grams of 2 held-out collections",
        "have 4 held-out splits. Rows were compared with 1 of them and not with the others;",
        "| left out by name | 1 | hle |",
        "| not in the source | 2 | quiz |",
        "| new_topic | 80 | 100% |",
        "80 of 80 rows were written on a topic that was drawn for them (`topic`); there are 1",
        "@article{sums,",
        "![from written to accepted](pictures/funnel.png)",
    ],
)
def test_the_page_contains(line: str, release: Release[Path]) -> None:
    assert line in page(release)


def test_a_dataset_with_many_revisions_is_one_source(tmp_path: Path) -> None:
    rows = [
        row.model_copy(update={"source": row.source.model_copy(update={"revision": f"r{n % 20}"})})
        for n, row in enumerate(curated_rows())
        if isinstance(row, CuratedExample)
    ]
    release = write_release(tmp_path, Cut(INPUTS), rows)

    (line,) = (line for line in page(release).splitlines() if line.startswith("| [org/quiz]"))
    assert line.endswith("| `r0`, `r1`, `r10` and 17 more | CC0-1.0, MIT | 80 |")
    manifest = json.loads((release.path / "manifest.json").read_text("utf-8"))
    assert len({source["revision"] for source in manifest["sources"]}) == 20
    assert sum(source["rows"] for source in manifest["sources"]) == 80


def test_the_example_of_the_card_runs_in_the_store(release: Release[Path]) -> None:
    program = page(release).split("```python\n")[1].split("```")[0] + "\nprint(rows.num_rows)"
    environment = {**os.environ, "HF_HOME": str(release.path.parent), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=release.path.parents[1],
        capture_output=True,
        text=True,
        env=environment,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "40"


def test_on_the_hub_the_example_loads_the_repository(release: Release[Path]) -> None:
    card = (release.path / "README.md").read_text("utf-8")

    pushed = for_repository(card, release.id, "org/qa")

    assert 'rows = datasets.load_dataset("org/qa", "multiple_choice", split="train")' in pushed
    assert "this card's folder" not in pushed


def test_an_unknown_revision_is_explained(tmp_path: Path) -> None:
    served = STAMP.model_copy(update={"revision": "unknown"})
    rows = [row.model_copy(update={"teacher": served}) for row in verified_rows(3)]
    terms = {STAMP.model: Terms("yes", "yes")}
    curated = curate([("all", rows)], lambda _: {}, lambda _: {}, {}, terms)

    text = page(write_release(tmp_path, Cut(INPUTS), curated))

    assert f"| writer | {STAMP.model} | `unknown` | 7 |" in text
    assert "does not say which revision it serves" in text


def test_tasks_come_with_their_diversity_and_the_seeds_they_used(release: Release[Path]) -> None:
    (line,) = (line for line in page(release).splitlines() if line.startswith("| sums |"))

    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:4] == ["sums", "40", "40", "1 of 80 (1%)"]
    distinct = [float(figure) for figure in cells[4].split(" / ")]
    assert 0 < distinct[0] < distinct[1] < 1
    assert 0 < float(cells[5]) < 1


def test_only_sources_of_the_release_are_cited(release: Release[Path]) -> None:
    assert "@article{other" not in page(release)


def test_every_picture_of_the_page_is_a_picture(release: Release[Path]) -> None:
    names = [part.split(")")[0] for part in page(release).split("](")[1:] if ".png" in part]

    assert len(names) == 5
    for name in names:
        data = (release.path / name).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) > 5_000


def test_well_known_tasks_have_citations() -> None:
    known = citations()

    assert "Clark2018ThinkYH" in known["arc"][0]
    assert any("Cobbe" in entry or "cobbe" in entry for entry in known["gsm8k"])
    assert all(entry.startswith("@") for entries in known.values() for entry in entries)


def test_a_card_says_that_nothing_was_compared(tmp_path: Path) -> None:
    release = write_release(tmp_path, Cut(INPUTS), curated_rows())

    assert "The rows were compared with no held-out data" in page(release)


def test_the_card_shows_what_the_rows_train_and_a_file_has_every_cell(
    release: Release[Path],
) -> None:
    cells = [json.loads(line) for line in (release.path / "coverage.jsonl").open(encoding="utf-8")]

    section = page(release).split("## Coverage\n")[1].split("\n## ")[0]
    assert "![coverage](pictures/coverage.png)" in section
    assert f"2 cells for {release.statistics.rows} rows" in section
    assert [(cell["skill"], cell["rows"]) for cell in cells] == [
        ("arithmetic", release.statistics.tasks["sums"].rows),
        ("recall_general", release.statistics.tasks["quiz"].rows),
    ]
    assert sum(cells[0]["rows_by_difficulty"].values()) == cells[0]["rows"]


def test_the_card_says_how_many_rows_their_own_writer_judged(release: Release[Path]) -> None:
    card = " ".join((release.path / "README.md").read_text("utf-8").split())
    judged = release.statistics.judged

    assert judged
    assert f"{judged} of the {judged} judged rows were judged by the model that wrote them." in card


def test_the_card_says_that_nothing_was_compared_by_embeddings(release: Release[Path]) -> None:
    card = (release.path / "README.md").read_text("utf-8")

    assert "No embedder was configured: a translated or freely reworded" in card
    assert "paraphrases" not in card


def test_the_card_says_what_was_compared_by_embeddings(tmp_path: Path) -> None:
    record = {
        "embedder": "org/e@r1",
        "lines": [0.9, 0.95],
        "against": {"gsm8k/gsm8k": 1319, "mmlu": 100},
        "compared": 50,
        "refused": 2,
        "reported": 3,
        "benchmarks": {"gsm8k/gsm8k": {"refused": 2, "reported": 3, "highest": 0.95}},
    }
    comparison = embedded_comparison([{"paraphrases": record}, {}])

    made = write_release(tmp_path, Cut(INPUTS, embedded=comparison), curated_rows())

    card = " ".join((made.path / "README.md").read_text("utf-8").split())
    assert (
        "(org/e@r1, lines 0.9 and 0.95): the questions of 50 rows, compared with 1,419 held-out "
        "questions of 2 collections. 2 rows had the numbers and the answer of a similar held-out "
        "question and were refused; 3 others above the second line are only counted. 1 of 2 "
        "partitions were not compared so."
    ) in card
    assert "| gsm8k/gsm8k | 2 | 3 |" in card
    assert "judge → paraphrases → licence" in card
    manifest = json.loads((made.path / "manifest.json").read_text("utf-8"))
    assert manifest["compared_by_embeddings"]["refused"] == 2
