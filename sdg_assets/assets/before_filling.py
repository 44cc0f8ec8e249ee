"""What a divided step looks at before pods with GPUs fill its partitions.

An undivided step looks at the same things when it begins. A divided one begins when its partitions
are filled: a run with `sdg/votes=500` kept 16 pods busy for hours, and then was refused.
"""

from __future__ import annotations

import dagster as dg

from sdg_assets.assets.knobs import config_of
from sdg_assets.assets.wiring import wiring_of
from sdg_assets.catalog import configured_catalog
from sdg_assets.cluster.indexed_jobs import subtasks_of_run
from sdg_assets.cluster.pods import stage_of_step
from sdg_assets.settings import settings


def subtasks_to_fill(instance: dg.DagsterInstance, run: dg.DagsterRun, step_key: str) -> list[str]:
    """The subtasks of a run whose answers are worth to be asked for.

    Args:
        instance: Where materializations are recorded.
        run: The run.
        step_key: `<seed task>__<stage>`, of a stage with teachers.

    Raises:
        PermanentError: The publishing pod would refuse the run: a knob is wrong, or a partition.
    """
    stage = stage_of_step(step_key)
    assert stage
    config_of(wiring_of(stage).config, step_key, run)
    task = step_key.rpartition("__")[0]
    return subtasks_of_run(configured_catalog(settings()), task, run.tags)
