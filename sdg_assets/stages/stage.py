"""The stage table: all properties in which stages differ, besides their functions.

`records.Stage` names the stages in order; this table has one row for each. Assets, jobs, checks,
pods, network labels, the funnel and previews read it; no other place lists the stages. A new
property of stages becomes a column here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sdg_assets.catalog import SubtaskSpec
from sdg_assets.heldout.splits import HashedSplit
from sdg_assets.records import (
    CuratedExample,
    EnrichedExample,
    Example,
    GeneratedExample,
    Record,
    Role,
    Seed,
    Stage,
)
from sdg_assets.store.partitions import PartitionKey


class Pool(StrEnum):
    """Dagster's pools. A pool's slots limit how many of its steps run at once."""

    GPU = "gpu"
    HUB = "hub"


class Reach(StrEnum):
    """What a stage's pods may connect to besides the database; see the policies in `k8s/`."""

    HUB = "hub"
    """The store and the Hub."""
    STORE = "store"
    """The store only."""


@dataclass(frozen=True)
class PodNeeds:
    """What a step needs without a teacher: CPU cores, and GiB of memory and of disk."""

    cpus: float = 0.5
    memory_gib: float = 2.0
    disk_gib: float = 2.0


@dataclass(frozen=True)
class StageSpec:
    """A row of the stage table."""

    description: str
    """Shown on the asset's page, before the task's description."""
    record: type[Record]
    """The record type of an accepted row."""
    inputs: tuple[Stage, ...]
    """The stages of the same subtask that this stage reads; for `curated`, of all subtasks."""
    checks: tuple[str, ...]
    """Names of the stage's checks that do not belong to a gate; see `checks/table.py`. Gates
    declare their own checks, which are shown after the first of these."""
    partitions_per_run: int
    """Subtasks per run of a backfill; 0 if the stage has no partitions. Each stage needs a
    different number: Dagster merges stages with equal backfill policies into one run, and then a
    subtask that fails in one stage stops its siblings before the next."""
    roles: tuple[Role, ...] = ()
    """The roles whose teachers the stage asks."""
    roles_until_accepted: tuple[Role, ...] = ()
    """The roles that the stage asks in a run with the knob `target_accepted`; empty for stages
    without this knob."""
    pool: Pool | None = None
    pod: PodNeeds = PodNeeds()
    reach: Reach = Reach.HUB
    maps_seeds: bool = False
    """Whether the stage maps a dataset's own rows. Malformed rows of a dataset are an error only
    above the threshold `broken_seeds`. The loss of a whole class is always an error, because a
    gate caused it."""

    @property
    def has_fill(self) -> bool:
        """Whether the stage needs completions of teachers before its rows can be published."""
        return bool(self.roles)

    @property
    def is_gated_against_benchmarks(self) -> bool:
        """Whether the stage compares its rows with held-out splits and protected benchmarks."""
        return Stage.HELDOUT in self.inputs

    @property
    def writes_examples(self) -> bool:
        """Whether the stage parses its rows from the writer's completions."""
        return Role.WRITER in self.roles

    @property
    def has_votes(self) -> bool:
        """Whether the solver votes on the stage's rows. Votes on programs run these programs."""
        return Role.SOLVER in self.roles


STAGES: Mapping[Stage, StageSpec] = {
    Stage.HELDOUT: StageSpec(
        description="Hashes of the held-out splits, never their text: no row may repeat them.",
        record=HashedSplit,
        inputs=(),
        checks=("heldout_complete",),
        partitions_per_run=104,
        pool=Pool.HUB,
    ),
    Stage.SEEDS: StageSpec(
        description="Raw rows of the training split, untouched.",
        record=Seed,
        inputs=(),
        checks=("rows",),
        partitions_per_run=101,
        pool=Pool.HUB,
    ),
    Stage.NORMALIZED: StageSpec(
        description="Seeds as examples of one shape: context, question, choices, answer text.",
        record=Example,
        inputs=(Stage.SEEDS, Stage.HELDOUT),
        checks=("rows", "class_balance"),
        partitions_per_run=102,
        pod=PodNeeds(memory_gib=4),  # hashes of held-out data
        maps_seeds=True,
    ),
    Stage.GENERATED: StageSpec(
        description="New examples that the writer modelled on the seeds.",
        record=GeneratedExample,
        inputs=(Stage.NORMALIZED,),
        checks=("rows", "complete"),
        partitions_per_run=41,
        roles=(Role.WRITER,),
        roles_until_accepted=tuple(Role),  # it also has its drafts solved, judged and probed
        pool=Pool.GPU,
    ),
    Stage.ENRICHED: StageSpec(
        description="Generated examples, answered blind by the solver, with reasoning and "
        "background.",
        record=EnrichedExample,
        inputs=(Stage.GENERATED, Stage.NORMALIZED),
        checks=("rows", "complete", "answer_verification"),
        partitions_per_run=42,
        roles=(Role.SOLVER, Role.JUDGE, Role.PROBE),
        pool=Pool.GPU,
    ),
    Stage.FILTERED: StageSpec(
        description="Examples that passed every gate.",
        record=EnrichedExample,
        inputs=(Stage.ENRICHED, Stage.NORMALIZED, Stage.HELDOUT),
        checks=("rows", "class_balance", "yield"),
        partitions_per_run=103,
        pod=PodNeeds(memory_gib=4),  # hashes of held-out data, signatures of all rows
        reach=Reach.STORE,  # it asks no teacher
    ),
    Stage.CURATED: StageSpec(
        description="One release: the accepted rows of all partitions without duplicates, with "
        "training texts and licences, a dataset card, and a separate commercial subset.",
        record=CuratedExample,
        inputs=(Stage.FILTERED,),
        checks=("fresh_inputs", "current_licences", "heldout_compared"),
        partitions_per_run=0,
        pod=PodNeeds(cpus=1, memory_gib=8, disk_gib=20),
    ),
}  # fmt: skip

TASK_STAGES = tuple(stage for stage in Stage if STAGES[stage].partitions_per_run)
"""The stages of each seed task, with one partition per subtask."""
ROW_STAGES = tuple(stage for stage in TASK_STAGES if stage is not Stage.HELDOUT)
"""The task stages that hold rows, from `seeds` to `filtered`."""
TEACHER_STAGES = tuple(stage for stage in TASK_STAGES if STAGES[stage].has_fill)
"""The task stages that ask teachers."""
REMADE_STAGES = tuple(stage for stage in TASK_STAGES if STAGES[stage].inputs)
"""The task stages with upstream assets in Dagster: they are stale when an input changes."""


def key_of(spec: SubtaskSpec, stage: Stage) -> PartitionKey:
    """The key of a subtask's partition of a stage in the store."""
    return PartitionKey(spec.task, stage.value, spec.key)
