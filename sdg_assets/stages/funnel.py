"""Counts, for each subtask, how many rows each stage read and accepted, from the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.records import Stage
from sdg_assets.stages.cost import Cost, by_teacher, costs_of
from sdg_assets.stages.generated import CONTROLLING_SEED, GATE
from sdg_assets.stages.stage import ROW_STAGES, STAGES, key_of
from sdg_assets.store.manifest import Manifest
from sdg_assets.store.partitions import Store
from sdg_assets.teacher.requests import FAULTS

# The reasons of gate `generation` for completions that could not be parsed.
UNREADABLE = (*FAULTS.values(), "empty", "refusal", "unparsable")


@dataclass
class FunnelRow:
    """The row counts of one subtask, stage by stage."""

    task: str
    subtask: str
    kind: str
    """The answer kind."""
    seeds: int = 0
    normalized: int = 0
    generated: int = 0
    """Completions of the writer."""
    parsed: int = 0
    """Completions that could be parsed."""
    verified: int = 0
    accepted: int = 0
    """Rows of `filtered`."""
    rejections: Counter[str] = field(default_factory=Counter)
    """Refused new examples by "gate: reason"."""
    tokens: int = 0
    """Output tokens of the teachers' completions, those of earlier runs included."""
    seconds: float = 0.0
    """Teacher time spent on the new ones."""
    new_tokens: int = 0
    """Output tokens that were written while the partitions were made."""
    pass_rate: float | None = None
    """Mean pass rate of the rows of `enriched`; None if there is no probe."""
    unfinished: int = 0
    """Rows of its stages that a budget of tokens did not pay for."""
    costs: list[Cost] = field(default_factory=list)
    """What its answers cost, by role; empty for partitions of before this was recorded."""

    @property
    def tokens_per_second(self) -> float | None:
        """Output tokens per second of teacher time; None if all completions came from the log."""
        return self.new_tokens / self.seconds if self.new_tokens and self.seconds else None


def funnel_row(store: Store, spec: SubtaskSpec) -> FunnelRow:
    """Reads the row counts from a subtask's manifests. Stages without a manifest count 0."""
    row = FunnelRow(spec.task, spec.key, spec.answer_kind.value)
    published = store.manifests(key_of(spec, stage) for stage in ROW_STAGES)
    manifests = {Stage(key.stage): manifest for key, manifest in published.items()}
    for stage, manifest in manifests.items():
        usage = manifest.info.get("usage", {})
        row.new_tokens += usage.get("output_tokens", 0)
        if "roles" not in usage:  # made before tokens were counted by role
            row.tokens += usage.get("output_tokens", 0) + usage.get("reused_tokens", 0)
        row.seconds += usage.get("seconds", 0.0)
        row.unfinished += usage.get("unfinished", 0)
        for reason, count in manifest.rejected.items():
            # Seeds that `normalized` refused are not rejected new examples.
            if not STAGES[stage].maps_seeds:
                row.rejections[reason] += count
    row.costs = costs_of(manifests)
    row.tokens += sum(cost.output_tokens for cost in row.costs)
    counts = {stage: manifest.rows for stage, manifest in manifests.items()}
    row.seeds, row.normalized = counts.get(Stage.SEEDS, 0), counts.get(Stage.NORMALIZED, 0)
    row.accepted = counts.get(Stage.FILTERED, 0)
    if generated := manifests.get(Stage.GENERATED):
        row.generated = examples_written(generated)
        unreadable = [f"{GATE}: {reason}" for reason in UNREADABLE]
        row.parsed = row.generated - sum(generated.rejected.get(r, 0) for r in unreadable)
    if enriched := manifests.get(Stage.ENRICHED):
        row.verified = enriched.info.get("verified", 0)
        row.pass_rate = enriched.info.get("pass_rate")
    return row


def examples_written(generated: Manifest) -> int:
    """The writer's completions behind a partition of `generated`."""
    skipped_seeds = generated.rejected.get(f"{GATE}: {CONTROLLING_SEED}", 0)
    return generated.rows + sum(generated.rejected.values()) - skipped_seeds


def materialized(store: Store, specs: Iterable[SubtaskSpec]) -> list[FunnelRow]:
    """The funnels of the subtasks that have seeds in the store.

    Args:
        store: The store.
        specs: The subtasks to look for.
    """
    seeds = {key_of(spec, Stage.SEEDS): spec for spec in specs}
    published = store.manifests(seeds)
    return [funnel_row(store, spec) for key, spec in seeds.items() if key in published]


@dataclass(frozen=True)
class TaskCosts:
    """What the rows of a seed task cost."""

    task: str
    accepted: int
    """Rows of `filtered`."""
    costs: list[Cost]
    """A line for each role and model."""


def costs_by_task(rows: Iterable[FunnelRow]) -> list[TaskCosts]:
    """The costs of each task that asked a teacher.

    Args:
        rows: The funnels of its subtasks, in any order.
    """
    by_task: dict[str, list[FunnelRow]] = {}
    for row in rows:
        by_task.setdefault(row.task, []).append(row)
    return [
        TaskCosts(
            task,
            sum(funnel.accepted for funnel in funnels),
            by_teacher(cost for funnel in funnels for cost in funnel.costs),
        )
        for task, funnels in by_task.items()
        if any(funnel.costs for funnel in funnels)
    ]
