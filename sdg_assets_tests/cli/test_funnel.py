from __future__ import annotations

import json

import pytest

from sdg_assets.records import Rejection, Seed
from sdg_assets.stages.generated import GATE
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.builders import write_catalog
from sdg_assets_tests.support.command import sdg
from sdg_assets_tests.support.records import enriched, generated, source


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


def test_what_an_accepted_row_costs_is_a_table_by_role(store: Store, configure: Configure) -> None:
    def spent(tokens: int) -> dict[str, object]:
        return {
            "requests": 1,
            "prompt_tokens": 4 * tokens,
            "output_tokens": tokens,
            "gpu_seconds": tokens / 100,
        }

    roles = {"writer": {"model": "org/writer", "new": spent(100), "kept": spent(20)}}
    with store.write(PartitionKey("quiz", "generated", "quiz")) as out:
        out.accept(generated())
        out.info = {"usage": {"output_tokens": 100, "seconds": 8.0, "roles": roles}}
    with store.write(PartitionKey("quiz", "filtered", "quiz")) as out:
        out.accept(enriched())
        out.accept(enriched(question="Which other city?"))
    price = '{"prompt": 1000, "output": 10000}'
    configure(prices=f'{{"currency": "EUR", "teachers": {{"org/writer": {price}}}}}')

    done = sdg("funnel", "quiz/quiz")

    assert done.exit_code == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()][-3:] == [
        ["task", "role", "teacher", "prompt", "tokens", "output", "tokens", "tokens/row",
         "GPU-s/row", "EUR/row"],
        ["quiz", "writer", "org/writer", "480", "120", "300", "0.600", "0.840000"],
        ["quiz", "all", "480", "120", "300", "0.600", "0.840000"],
    ]  # fmt: skip
    (row,) = json.loads(sdg("funnel", "quiz/quiz", "--json").stdout)
    assert row["currency"] == "EUR"
    (cost,) = row["costs"]
    assert (cost["role"], cost["gpu_seconds"]) == ("writer", 1.2)
    assert cost["money"] == pytest.approx(1.68)


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
