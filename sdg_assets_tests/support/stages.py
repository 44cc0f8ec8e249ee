"""Stage names as strings, from the stage table."""

from sdg_assets.checks.table import stage_checks
from sdg_assets.stages.stage import ROW_STAGES, TASK_STAGES, TEACHER_STAGES

TASK_ASSETS = tuple(stage.value for stage in TASK_STAGES)
"""The assets of a seed task, in the order of their dependencies."""
ROW_ASSETS = tuple(stage.value for stage in ROW_STAGES)
"""The assets that hold rows, from `seeds` to `filtered`."""
TEACHER_ASSETS = tuple(stage.value for stage in TEACHER_STAGES)
STAGE_CHECKS = {stage.value: stage_checks(stage) for stage in TASK_STAGES}
