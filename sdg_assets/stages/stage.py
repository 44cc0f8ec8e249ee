"""The stage table: everything that differs between stages and is not their work itself.

`records.Stage` names the stages in order; here is one row for each. Assets, jobs, checks, pods,
network labels, the funnel and previews read this table; nothing lists stages a second time. What
there is to know of a stage is a column here.
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
    """Dagster's pools: their slots limit how many steps run at once."""

    GPU = "gpu"
    HUB = "hub"


class Reach(StrEnum):
    """What a stage's pods may talk to, besides the database: see the network policies in `k8s/`."""

    HUB = "hub"
    """The store and the Hub."""
    STORE = "store"
    """The store alone."""


@dataclass(frozen=True)
class PodNeeds:
    """What a step takes without any teacher: CPU cores, and GiB of memory and of disk."""

    cpus: float = 0.5
    memory_gib: float = 2.0
    disk_gib: float = 2.0


@dataclass(frozen=True)
class StageSpec:
    """A row of the stage table."""

    description: str
    """Shown on the asset's page, before what the catalog says of the task."""
    record: type[Record]
    """The record type of an accepted row."""
    inputs: tuple[Stage, ...]
    """The stages of the same subtask that it reads; for `curated`, of all subtasks."""
    checks: tuple[str, ...]
    """Names of its checks besides those of gates, which each gate declares; see `checks/table.py`.
    The gates' checks are shown after the first."""
    partitions_per_run: int
    """Subtasks in one run of a backfill; 0 if there are no partitions. Each stage needs a number
    of its own: stages with equal policies run as one, and a subtask that fails in one stage then
    holds its siblings back in the next."""
    roles: tuple[Role, ...] = ()
    """The roles whose teachers it asks."""
    roles_until_accepted: tuple[Role, ...] = ()
    """The roles that it asks in a run with the knob `target_accepted`; empty for stages without
    that knob."""
    pool: Pool | None = None
    pod: PodNeeds = PodNeeds()
    reach: Reach = Reach.HUB
    maps_seeds: bool = False
    """Whether its rows are a dataset's own, newly mapped. Broken rows of a dataset are an error
    only above the threshold `broken_seeds`; the loss of a whole class is one, for a gate made
    it."""

    @property
    def has_fill(self) -> bool:
        """Whether completions of teachers must be there before its rows can be published."""
        return bool(self.roles)

    @property
    def is_gated_against_benchmarks(self) -> bool:
        """Whether its rows are compared with held-out splits and protected benchmarks."""
        return Stage.HELDOUT in self.inputs

    @property
    def writes_examples(self) -> bool:
        """Whether its rows are parsed from what the writer wrote."""
        return Role.WRITER in self.roles

    @property
    def has_votes(self) -> bool:
        """Whether the solver votes on its rows. Votes on programs run them."""
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
        pod=PodNeeds(memory_gib=4),  # hashes of what is held out
        maps_seeds=True,
    ),
    Stage.GENERATED: StageSpec(
        description="New examples that the writer wrote after its seeds.",
        record=GeneratedExample,
        inputs=(Stage.NORMALIZED,),
        checks=("rows",),
        partitions_per_run=41,
        roles=(Role.WRITER,),
        roles_until_accepted=tuple(Role),  # it solves and judges its own drafts
        pool=Pool.GPU,
    ),
    Stage.ENRICHED: StageSpec(
        description="Generated examples, answered blind by the solver, with reasoning and "
        "background.",
        record=EnrichedExample,
        inputs=(Stage.GENERATED, Stage.NORMALIZED),
        checks=("rows", "answer_verification"),
        partitions_per_run=42,
        roles=(Role.SOLVER, Role.JUDGE),
        pool=Pool.GPU,
    ),
    Stage.FILTERED: StageSpec(
        description="Examples that passed every gate.",
        record=EnrichedExample,
        inputs=(Stage.ENRICHED, Stage.NORMALIZED, Stage.HELDOUT),
        checks=("rows", "class_balance", "yield"),
        partitions_per_run=103,
        pod=PodNeeds(memory_gib=4),  # hashes of what is held out, signatures of rows seen
        reach=Reach.STORE,  # it asks nobody
    ),
    Stage.CURATED: StageSpec(
        description="One release: accepted rows of all partitions, unique, with their training "
        "texts and licences, a dataset card, and the licence-compatible subset apart.",
        record=CuratedExample,
        inputs=(Stage.FILTERED,),
        checks=("fresh_inputs",),
        partitions_per_run=0,
        pod=PodNeeds(cpus=1, memory_gib=8, disk_gib=20),
    ),
}  # fmt: skip

TASK_STAGES = tuple(stage for stage in Stage if STAGES[stage].partitions_per_run)
"""The stages that each seed task has, with a partition a subtask."""
ROW_STAGES = tuple(stage for stage in TASK_STAGES if stage is not Stage.HELDOUT)
"""The task stages that hold rows, from the dataset's own to those that a release takes."""
TEACHER_STAGES = tuple(stage for stage in TASK_STAGES if STAGES[stage].has_fill)
"""The task stages that ask teachers."""
REMADE_STAGES = tuple(stage for stage in TASK_STAGES if STAGES[stage].inputs)
"""The task stages with inputs that Dagster knows: they are stale when an input changes."""


def key_of(spec: SubtaskSpec, stage: Stage) -> PartitionKey:
    """Where a stage of a subtask lies in the store."""
    return PartitionKey(spec.task, stage.value, spec.key)
