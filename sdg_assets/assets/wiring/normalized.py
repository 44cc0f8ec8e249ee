"""`normalized`: seeds as examples, without broken ones and without copies of held-out rows."""

import itertools

from sdg_assets.assets.knobs import StageConfig
from sdg_assets.assets.partition_context import PartitionContext
from sdg_assets.assets.wiring import Wiring
from sdg_assets.assets.writing import PartitionReport
from sdg_assets.gates import seed_gates
from sdg_assets.records import Example, Seed, Stage
from sdg_assets.stages.normalized import normalize, without_refused
from sdg_assets.stages.overlaps import seeded_elsewhere
from sdg_assets.stages.plan import SAMPLE, RoughCounter, plan_subtask


def _normalized(partition: PartitionContext, config: StageConfig) -> PartitionReport:
    spec, store = partition.spec, partition.store
    seeds = partition.read(Stage.SEEDS, Seed)
    task = partition.catalog.task(spec.task)
    elsewhere = None
    if task.overlaps:
        elsewhere = seeded_elsewhere(task, partition.catalog, partition.source)
    gates = seed_gates(partition.thresholds, partition.guard.gate)
    report = partition.publish(without_refused(normalize(spec, seeds, elsewhere), gates), config)
    key = partition.key(Stage.NORMALIZED)
    sample = list(itertools.islice(store.read(key, Example), SAMPLE))
    count = store.manifest(key).rows
    plan = plan_subtask(spec, sample, RoughCounter(), partition.settings, count)
    report.metadata |= {
        "planned_requests": plan.requests,
        "planned_prompt_tokens": plan.prompt_tokens,
        "planned_output_tokens": plan.output_tokens,
    }
    return report


WIRING = Wiring(StageConfig, _normalized)
