"""Held-out rows for tests, hashed like the real ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.catalog.protected import ProtectedBenchmark
from sdg_assets.errors import AbsentError
from sdg_assets.gates.contamination import Contamination
from sdg_assets.gates.repeats import ContaminationThresholds
from sdg_assets.heldout.freshness import FINGERPRINT, current_fingerprint
from sdg_assets.heldout.index import HeldoutIndex
from sdg_assets.heldout.splits import HeldoutRows
from sdg_assets.heldout.tables import HeldoutTables
from sdg_assets.records import Example
from sdg_assets.sources.source import local_source
from sdg_assets_tests.support.builders import seed_task

# Enough rows that an n-gram can be rare.
FILLERS = (
    "Which river of northern Peru carries more silt than any other in the rainy season?",
    "Who painted the ceiling of the small chapel behind the old harbour of Ghent?",
    "How do beekeepers calm a hive before they take the honeycombs out of it?",
    "Why does bread that was baked at noon taste stale on the following morning?",
    "Where did the first steam ferry of the Baltic Sea sink after a fire on board?",
    "When is a violin string replaced by players who perform on it every evening?",
    "What makes the wings of some butterflies shine blue although they hold no pigment?",
    "Which tool does a cooper use to bend the staves of an oak barrel over the fire?",
)


class Splits(dict[str, list[dict[str, Any]]]):
    """A source with one dataset: split → rows."""

    name = "splits"

    def revision(self, spec: SubtaskSpec) -> str:
        return f"r-{spec.split}"

    def rows(self, spec: SubtaskSpec, split: str) -> Iterator[dict[str, Any]]:
        return iter(self[split])

    def splits(self, spec: SubtaskSpec) -> list[str]:
        if spec.dataset != "org/quiz":
            raise AbsentError(f"splits has no {spec.dataset}")
        return sorted(self)

    def configs(self, dataset: str) -> list[str]:
        return ["main"]


def hashed(rows: Sequence[dict[str, Any]], **task: Any) -> HeldoutTables:
    """The hashes of raw rows as the `test` split of a task."""
    heldout_rows = HeldoutRows()
    heldout_rows.add(seed_task(**task).resolve("quiz"), "test", Splits(test=list(rows)))
    return heldout_rows.tables()


def gate_against(
    rows: Sequence[dict[str, Any]], thresholds: ContaminationThresholds | None = None, **task: Any
) -> Contamination:
    """The gate with raw rows (and FILLERS) held out as the `test` split of a task."""
    fillers = [{"question": q, "choices": [f"a {q}", f"b {q}"], "label": 0} for q in FILLERS]
    tables = hashed([*rows, *fillers], **task)
    return Contamination(
        HeldoutIndex({"quiz/quiz": tables}), thresholds or ContaminationThresholds()
    )


def held_out(*examples: Example) -> Contamination:
    """The gate with these rows held out."""
    rows = [
        {
            "context": e.context,
            "question": e.question,
            "choices": e.choices,
            "label": e.answer_index,
        }
        for e in examples
    ]
    record = {
        "context": "{{context}}",
        "question": "{{question}}",
        "choices": "{{choices}}",
        "answer_index": "{{label}}",
    }
    return Contamination(
        HeldoutIndex({"quiz/quiz": hashed(rows, record=record)}), ContaminationThresholds()
    )


def as_if_read_now(held_out: SubtaskSpec | ProtectedBenchmark, setting: str) -> dict[str, Any]:
    """What a manifest says of hashes that were made from a source as it is now."""
    source = local_source(setting)
    assert source, f"{setting} is no directory"
    return {"source": setting, FINGERPRINT: current_fingerprint(held_out, source)}


def nothing_held_out() -> Contamination:
    """The gate without held-out rows."""
    return Contamination(HeldoutIndex({}), ContaminationThresholds())
