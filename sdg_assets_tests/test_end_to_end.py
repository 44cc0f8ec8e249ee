"""The main job with the embedded default teacher: raw rows in, curated Q&A out.

On real rows, of the mirror of the Hub; where there is none, on the embedded samples.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sdg_assets.assets.curated import curated_asset
from sdg_assets.assets.heldout import protected_asset
from sdg_assets.catalog import cached_catalog
from sdg_assets.checks.table import stage_checks
from sdg_assets.cli.together import fill_together
from sdg_assets.enrichment.traces import says_more
from sdg_assets.records import EnrichedExample, Example, GeneratedExample, Record, Seed, Stage
from sdg_assets.settings import settings
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.teacher.requests import Completion
from sdg_assets.texts import render_texts
from sdg_assets_tests.conftest import forget_settings, on_disk
from sdg_assets_tests.support.builders import MIRROR
from sdg_assets_tests.support.runs import QUIET, checks, failures, materialized, metadata, run
from sdg_assets_tests.support.stages import ROW_ASSETS

pytestmark = pytest.mark.engine

SUBTASKS = {"arc_easy": "arc", "gsm8k": "gsm8k", "boolq": "boolq"}
SEEDS = 2
RECORDS: dict[str, type[Record]] = {
    "seeds": Seed,
    "normalized": Example,
    "generated": GeneratedExample,
    "enriched": EnrichedExample,
    "filtered": EnrichedExample,
}


@dataclass
class Job:
    """A finished run of everything."""

    store: Store
    instance: dg.DagsterInstance
    runs: dict[str, dg.ExecuteInProcessResult]

    def rows(self, subtask: str, stage: str) -> list[Record]:
        """Accepted rows of a stage, verified as they are read."""
        key = PartitionKey(SUBTASKS[subtask], stage, subtask)
        return list(self.store.read(key, RECORDS[stage]))

    def published(self, subtask: str) -> list[str]:
        """Stages that were published: all, or those before the first that has no row left.

        Of three drafts of so small a teacher, none may be accepted.
        """
        task = SUBTASKS[subtask]
        return [s for s in ROW_ASSETS if self.store.exists(PartitionKey(task, s, subtask))]

    def accepted(self) -> list[EnrichedExample]:
        """Everything that was let through."""
        full = [subtask for subtask in SUBTASKS if "filtered" in self.published(subtask)]
        rows = itertools.chain.from_iterable(self.rows(subtask, "filtered") for subtask in full)
        return [row for row in rows if isinstance(row, EnrichedExample)]

    def completions(self, subtask: str) -> set[str]:
        """Ids of all that was said about a subtask."""
        logs = on_disk(self.store.completions_dir(SUBTASKS[subtask], subtask)).glob("*.jsonl")
        lines = itertools.chain.from_iterable(log.read_bytes().splitlines() for log in logs)
        return {Completion.model_validate_json(line).request_id for line in lines}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """Runs the job once for all tests here: seeds to filtered for each subtask, then curated."""
    folder = tmp_path_factory.mktemp("job")
    chosen = {
        "SDG_STORE": str(folder / "store"),
        "SDG_SEED_SOURCE": f"mirror:{MIRROR}" if MIRROR.is_dir() else "samples",
        "SDG_MAX_SEEDS": str(SEEDS),
        # All but the one below: to read them takes a minute.
        "SDG_WITHOUT_BENCHMARKS": "all",
        "SDG_VOTES": "3",
        # Minutes on two busy cores: a longer draft or trace than this is a bad one.
        "SDG_WRITER_MAX_TOKENS": "224",
        "SDG_SOLVER_MAX_TOKENS": "160",
        # This teacher's scores are worth nothing; that they can be read is.
        "SDG_WITH_JUDGE": "true",
        "SDG_JUDGE_MAY_BE_WRITER": "true",
        "SDG_GATES": '{"judge_score": 0, "judge_criterion": 0}',
    }
    before = dict(os.environ)
    os.environ.update(chosen)
    forget_settings()
    try:
        with dg.DagsterInstance.local_temp(str(folder)) as instance:
            dg.materialize([protected_asset()], partition_key="gsm8k", instance=instance)
            # As the quickstart does it: the answers of all subtasks in one batch, then the runs.
            # A decoding step of many rows takes hardly longer than one of few.
            first = (Stage.SEEDS.value, Stage.NORMALIZED.value)
            for subtask, task in SUBTASKS.items():
                run(task, first, subtasks=subtask, instance=instance)
            specs = [cached_catalog().subtask(task, s) for s, task in SUBTASKS.items()]
            fill_together(specs, Store(settings().store), settings(), lambda _, row: None)
            runs = {s: run(task, subtasks=s, instance=instance) for s, task in SUBTASKS.items()}
            runs["curated"] = dg.materialize(
                [curated_asset(cached_catalog())],
                instance=instance,
                run_config={"loggers": QUIET},
                raise_on_error=False,
            )
            yield Job(Store(settings().store), instance, runs)
    finally:
        os.environ.clear()
        os.environ.update(before)
        forget_settings()


def test_every_stage_of_every_subtask_is_materialized_while_rows_are_left(job: Job) -> None:
    for subtask, task in SUBTASKS.items():
        published, result = job.published(subtask), job.runs[subtask]
        assert published == list(ROW_ASSETS[: len(published)])
        for stage in ROW_ASSETS:
            expected = {subtask} if stage in published else set()
            assert materialized(job.instance, task, stage) == expected
        if published == list(ROW_ASSETS):
            assert result.success, failures(result)
        else:
            (message,) = failures(result)
            assert f"{ROW_ASSETS[len(published)]}/{subtask}: rows: 0 of " in message
    assert job.runs["curated"].success, failures(job.runs["curated"])
    assert job.instance.get_latest_materialization_event(dg.AssetKey("curated"))


def test_every_check_of_every_stage_is_evaluated_and_no_invariant_broken(job: Job) -> None:
    for subtask in SUBTASKS:
        for stage in job.published(subtask):
            found = checks(job.runs[subtask], stage, subtask)
            assert set(found) == set(stage_checks(stage))
            for evaluation in found.values():
                warned = evaluation.severity is dg.AssetCheckSeverity.WARN
                assert evaluation.passed or warned, evaluation.description


def test_the_funnel_adds_up_from_stage_to_stage(job: Job) -> None:
    for subtask, task in SUBTASKS.items():
        came_in = SEEDS
        for stage in job.published(subtask):
            key = PartitionKey(task, stage, subtask)
            accepted, refused = len(job.rows(subtask, stage)), list(job.store.read_rejected(key))
            assert accepted + len(refused) == came_in, (subtask, stage)
            assert all(rejection.gate and rejection.reason for rejection in refused)
            told = metadata(job.instance, task, stage, subtask)
            assert (told["rows"], told["rows_rejected"]) == (accepted, len(refused))
            came_in = accepted


def test_the_seeds_are_rows_of_the_training_split_and_say_where_they_stand(job: Job) -> None:
    for subtask in SUBTASKS:
        for seed in job.rows(subtask, "seeds"):
            assert isinstance(seed, Seed)
            assert seed.row["question"]
            assert seed.source.split == "train"
            assert seed.source.revision.startswith("local:")


def test_the_teacher_was_asked_and_its_tokens_counted(job: Job) -> None:
    written = [subtask for subtask in SUBTASKS if "generated" in job.published(subtask)]
    assert written
    for subtask in written:
        told = metadata(job.instance, SUBTASKS[subtask], "generated", subtask)
        seeds = len(job.rows(subtask, "normalized"))
        assert told["teacher_requests_reused"] == seeds > 0
        assert told["output_tokens_reused"] > 20 * seeds
        assert told["teacher_requests"] == 0, "nothing is asked twice"


def test_something_is_accepted(job: Job) -> None:
    assert job.accepted()


def test_every_accepted_row_can_be_traced_back(job: Job) -> None:
    stamp = ("Qwen/Qwen2.5-Coder-1.5B-Instruct", "Apache-2.0")
    for row in job.accepted():
        seeds = {s.id for s in job.rows(row.subtask, "normalized") if isinstance(s, Example)}
        assert row.seed_ids
        assert set(row.seed_ids) <= seeds
        assert row.completion_id in job.completions(row.subtask)
        for teacher in (row.teacher, row.solver):
            assert (teacher.model, teacher.license) == stamp
            assert teacher.revision
        assert row.source.license
        assert row.prompt_version.startswith("write/")


def test_every_accepted_row_was_agreed_on(job: Job) -> None:
    for row in job.accepted():
        assert row.outcome == "agreed"
        assert row.vote_share > 0.5
        # A vote need not explain its answer; a kept trace does, unless it is a program.
        if not row.answer_kind.policy.trace_holds_answer:
            assert says_more(row.reasoning, row) == bool(row.reasoning)
        assert ("with_reasoning" in render_texts(row)) == bool(row.reasoning)
        assert row.judge
        assert row.judge.criteria


def test_the_release_holds_the_accepted_rows_and_loads_as_a_dataset(
    job: Job, tmp_path: Path
) -> None:
    event = job.instance.get_latest_materialization_event(dg.AssetKey("curated"))
    assert event
    assert event.asset_materialization
    told: dict[str, Any] = {k: v.value for k, v in event.asset_materialization.metadata.items()}
    program = f"""
import datasets
for config in datasets.get_dataset_config_names({told["path"]!r}):
    if config.startswith("commercial"):
        continue  # rows that stand in the whole families as well
    for row in datasets.load_dataset({told["path"]!r}, config, split="train"):
        print(row["id"], bool(row["text"]["answer_only"]), row["license"] != "")
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )

    assert done.returncode == 0, done.stderr
    assert told["rows"] + told["rows_rejected"] == len(job.accepted())
    loaded = sorted(done.stdout.splitlines())
    assert len(loaded) == told["rows"]
    ids = {row.id for row in job.accepted()}
    assert all(line.split()[0] in ids and line.endswith("True True") for line in loaded)
