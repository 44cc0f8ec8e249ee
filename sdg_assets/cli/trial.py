"""One trial of `sdg tune`, in a process of its own: `python -m sdg_assets.cli.trial`.

Arguments: `task/subtask`, seconds, the file for the result, and the id of the process that waits.
The settings, `SDG_ENGINE` among them, come from the environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sdg_assets.assets.knobs import SolverConfig, WriterConfig
from sdg_assets.catalog import configured_catalog
from sdg_assets.cli.tuning import write_result
from sdg_assets.errors import SdgError
from sdg_assets.records import Role
from sdg_assets.settings import Settings, settings
from sdg_assets.stages.plan import seeds_of
from sdg_assets.stages.speed import Rate, rate, recording_teacher
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.engine.children import die_with_parent


def main(subtask: str, seconds: str, result: str, parent: str) -> None:
    """Measures the configured engine, and writes its speed or why there is none."""
    die_with_parent(int(parent))
    try:
        write_result(Path(result), _measured(subtask, float(seconds)))
    except SdgError as error:
        write_result(Path(result), str(error))


def _measured(subtask: str, seconds: float) -> Rate:
    knobs = settings()
    spec = configured_catalog(knobs).subtask(*subtask.split("/"))
    teacher = recording_teacher(knobs)
    writer = WriterConfig().knobs(knobs)
    seeds = seeds_of(spec, knobs).first
    solver = SolverConfig().knobs(knobs) if _is_solver(knobs) else None
    return rate(teacher, spec, seeds, writer, seconds, solver)


def _is_solver(knobs: Settings) -> bool:
    """Whether the writer is the solver, too: most of its tokens are then those of votes."""
    return TeacherSpec.of(knobs, Role.SOLVER) == TeacherSpec.of(knobs, Role.WRITER)


if __name__ == "__main__":
    main(*sys.argv[1:])
