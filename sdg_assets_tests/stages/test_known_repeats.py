"""Real training rows that also occur in a held-out split must be refused; the mirror lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from sdg_assets.catalog import SubtaskSpec, cached_catalog
from sdg_assets.gates.base import Batch
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.heldout.splits import HeldoutRows
from sdg_assets.records import Example
from sdg_assets.sources.source import DirectorySource
from sdg_assets.stages.normalized import normalize
from sdg_assets.stages.seeds import collect_seeds
from sdg_assets.thresholds import overridden
from sdg_assets_tests.support.builders import MIRROR, needs_mirror

LISTED = MIRROR / "OVERLAP.txt"
LINE = re.compile(r"(?P<dataset>\S+):(?P<config>\S+)\s+train∩(?P<split>\w+): (?P<count>\d+) of ")
# The column whose repeats are listed.
COLUMN = {
    "allenai/openbookqa": "question_stem",
    "allenai/ai2_arc": "question",
    "EleutherAI/hendrycks_math": "problem",
    "google-research-datasets/mbpp": "text",
    "EleutherAI/hendrycks_ethics": "scenario",
    "aps/super_glue": "premise",
    "nyu-mll/glue": "sentence1",
    "Rakuten/JGLUE": "question",
}


def listed() -> Iterator[tuple[str, str, str, int]]:
    text = LISTED.read_text("utf-8").split("--- across")[0] if LISTED.is_file() else ""
    for match in LINE.finditer(text):
        yield match["dataset"], match["config"], match["split"], int(match["count"])


def seeded_from(dataset: str, config: str) -> SubtaskSpec:
    specs = (
        task.resolve(key)
        for task in cached_catalog().tasks.values()
        for key in task.subtasks  # disabled ones, too: WNLI repeats a benchmark
        if task.seed_split == "train"
    )
    return next(spec for spec in specs if (spec.dataset, spec.config) == (dataset, config))


def bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


@needs_mirror
def test_the_mirror_lists_repeats() -> None:
    assert len(list(listed())) >= 20


@needs_mirror
@pytest.mark.parametrize(("dataset", "config", "split", "count"), list(listed()))
def test_every_listed_repeat_is_refused_as_a_seed(
    dataset: str, config: str, split: str, count: int
) -> None:
    source, spec = DirectorySource("mirror", MIRROR), seeded_from(dataset, config)
    column = COLUMN[dataset]
    heldout_rows = HeldoutRows()
    heldout_rows.add(spec, split, source)
    texts = {bare(row[column]) for row in source.rows(spec, split)}
    repeats = [seed for seed in collect_seeds(spec, source) if bare(seed.row[column]) in texts]
    assert len({bare(seed.row[column]) for seed in repeats}) >= count

    seeds = [row for row in normalize(spec, repeats) if isinstance(row, Example)]
    index = HeldoutIndex({"own": heldout_rows.tables()})
    refused = Contamination(
        index, overridden(spec.gates).of(ContaminationThresholds), own="own"
    ).refusals(Batch(seeds))

    assert seeds
    assert [row.question for place, row in enumerate(seeds) if place not in refused] == []
