"""What a divided step looks at before pods with GPUs fill its partitions.

An undivided step looks at the same things when it begins. A divided one begins when its partitions
are filled: a run with `sdg/votes=500` kept 16 pods busy for hours, and then was refused.
"""

from __future__ import annotations

import dagster as dg

from sdg_assets.assets.knobs import config_of
from sdg_assets.assets.passages import require_passages
from sdg_assets.assets.staleness import superseded
from sdg_assets.assets.wiring import wiring_of
from sdg_assets.catalog import configured_catalog
from sdg_assets.cluster.indexed_jobs import subtasks_of_run
from sdg_assets.cluster.pods import stage_of_step
from sdg_assets.errors import PermanentError
from sdg_assets.settings import settings


def subtasks_to_fill(instance: dg.DagsterInstance, run: dg.DagsterRun, step_key: str) -> list[str]:
    """The subtasks of a run whose answers are worth to be asked for.

    Args:
        instance: Where materializations are recorded.
        run: The run.
        step_key: `<seed task>__<stage>`, of a stage with teachers.

    Raises:
        PermanentError: The publishing pod would refuse the run: a knob is wrong, the run names
            other partitions than the catalog, passages are missing, or all rows are superseded.
    """
    stage = stage_of_step(step_key)
    assert stage
    config_of(wiring_of(stage).config, step_key, run)
    require_passages(instance, stage)
    catalog, name = configured_catalog(settings()), step_key.rpartition("__")[0]
    subtasks = subtasks_of_run(catalog, name, run.tags)
    reasons = superseded(instance, run, catalog.task(name), stage)
    if reasons.keys() >= set(subtasks):
        raise PermanentError(reasons[subtasks[0]])
    # The publishing pod refuses the others one by one.
    return [subtask for subtask in subtasks if subtask not in reasons]
