from __future__ import annotations

import json

import pytest

from sdg_assets.records import Rejection, Seed
from sdg_assets.stages.generated import GATE
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.command import sdg
from sdg_assets_tests.support.records import generated, source


@pytest.fixture(autouse=True)
def two_subtasks(store: Store, configure: Configure) -> None:
    """Two subtasks have seeds, one of them generated rows; a third is not materialized."""
    catalog = write_catalog(
        store.root / "catalog",  # type: ignore[arg-type]
        {"subtasks": {"quiz": {}, "riddles": {"config": "r"}, "empty": {"config": "e"}}},
    )
    configure(catalog=catalog)
    for subtask in ("quiz", "riddles"):
        with store.write(PartitionKey("quiz", "seeds", subtask)) as out:
            out.accept(Seed(row={"question": "?"}, source=source()))
    with store.write(PartitionKey("quiz", "generated", "quiz")) as out:
        out.accept(generated())
        out.reject(Rejection(gate=GATE, reason="truncated", row={}))
        out.info = {"usage": {"output_tokens": 120, "seconds": 8.0}}


def test_each_subtask_with_seeds_is_a_line_and_each_reason_another() -> None:
    done = sdg("funnel")

    assert done.exit_code == 0
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["task", "subtask", "kind", "seeds", "generated", "parsed", "verified", "accepted",
         "tokens", "tokens/s"],
        ["quiz", "quiz", "multiple_choice", "1", "2", "1", "0", "0", "120", "15.0"],
        ["quiz", "riddles", "multiple_choice", "1", "0", "0", "0", "0", "0", "–"],
        [],
        ["task", "subtask", "rejected", "by", "gate:", "reason"],
        ["quiz", "quiz", "1", "generation:", "truncated"],
    ]  # fmt: skip


def test_one_subtask_can_be_named() -> None:
    done = sdg("funnel", "quiz/riddles", "--json")

    assert done.exit_code == 0
    (row,) = json.loads(done.stdout)
    assert (row["subtask"], row["seeds"], row["rejections"]) == ("riddles", 1, {})
    assert row["tokens_per_second"] is None


def test_a_script_reads_why_rows_were_refused() -> None:
    (row,) = json.loads(sdg("funnel", "quiz/quiz", "--json").stdout)

    assert row["rejections"] == {"generation: truncated": 1}
    assert row["tokens_per_second"] == 15


def test_nothing_materialized_leads_to_the_quickstart() -> None:
    done = sdg("funnel", "quiz/empty")

    assert done.exit_code == 0
    assert done.stderr.endswith("try `sdg quickstart`\n")


def test_an_unknown_subtask_is_one_line() -> None:
    done = sdg("funnel", "quiz/maths")

    assert done.exit_code == 2
    assert done.stderr.startswith("error: seed task 'quiz' has no subtask 'maths'")
