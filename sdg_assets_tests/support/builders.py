"""Builders for several tests: a custom catalog, a source of rows, the mirror of real data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdg_assets.catalog import SeedTask, SubtaskSpec
from sdg_assets.errors import AbsentError
from sdg_assets.sources.source import DirectorySource, SeedSource

MIRROR = Path(os.environ.get("SDGTEST_HUB", Path(__file__).parents[3] / "shared" / "hub")).resolve()
TINY = MIRROR / "_tiny"
needs_mirror = pytest.mark.skipif(not MIRROR.is_dir(), reason=f"no mirror of the Hub at {MIRROR}")

TASK: dict[str, Any] = {
    "task": "quiz",
    "family": "knowledge",
    "domain": "trivia",
    "behaviours": ["apply_knowledge"],
    "skills": ["recall_general"],
    "languages": ["en"],
    "dataset": "org/quiz",
    "license": "MIT",
    "commercial_use": "yes",
    "answer_kind": "multiple_choice",
    "seed_split": "train",
    "heldout_splits": ["test"],
    "record": {
        "question": "{{question}}",
        "choices": "{{choices}}",
        "answer_index": "{{label}}",
    },
    "subtasks": {"quiz": {"config": "main", "rows": 1000}},
}


def seed_task(**fields: Any) -> SeedTask:
    """`TASK` with fields changed."""
    return SeedTask.model_validate({**TASK, **fields})


def write_catalog(root: Path, *tasks: Mapping[str, Any]) -> Path:
    """A catalog of tasks, each `TASK` with fields changed."""
    for fields in tasks:
        task = {**TASK, **fields}
        file = root / task["family"] / f"{task['task']}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(task), "utf-8")
    return root


def mirror_sources() -> list[DirectorySource]:
    """The mirror of real data, and a few rows of each dataset that it lacks."""
    return [DirectorySource("mirror", MIRROR), DirectorySource("tiny", TINY)]


class Rows(dict[str, list[dict[str, Any]]]):
    """A seed source: dataset → rows of its seed split."""

    name = "rows"

    def revision(self, spec: SubtaskSpec) -> str:
        return "r0"

    def rows(self, spec: SubtaskSpec, split: str) -> Iterator[dict[str, Any]]:
        return iter(self[spec.dataset])

    def splits(self, spec: SubtaskSpec) -> list[str]:
        if spec.dataset not in self:
            raise AbsentError(f"no {spec.dataset}")
        return [spec.split]

    def configs(self, dataset: str) -> list[str]:
        return ["default"]


_rows_are_a_source: type[SeedSource] = Rows
