"""`sdg bench`: the speed of a stage against the speed of the engine alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.endings import exit_codes
from sdg_assets.cli.options import AsJson, OneSubtask, one_selected

if TYPE_CHECKING:
    from sdg_assets.stages.speed import Comparison

EXIT_CODES = exit_codes("the stage reaches less than 0.97 of the engine's speed")


def bench(
    subtask: OneSubtask = "gsm8k/gsm8k",
    requests: Annotated[int, typer.Option(min=1, help="Requests to measure with.")] = 64,
    max_tokens: Annotated[int, typer.Option(min=8, help="Longest answer, in tokens.")] = 128,
    as_json: AsJson = False,
) -> int:
    """Compare the stage `generated` with the engine alone, on the same prompts.

    Runs the configured teacher (SDG_TEACHER, SDG_ENGINE) on this machine. Both sides use the same
    engine and greedy sampling. Where the engine computes in this process (on a CPU), CPU time is
    compared, and every step of the engine counts the same; else wall clock.
    """
    from sdg_assets.records import Role
    from sdg_assets.settings import settings
    from sdg_assets.stages.plan import seeds_of
    from sdg_assets.stages.speed import GOAL, compare, recording_teacher

    spec = one_selected(subtask)
    with terminal.busy(f"{settings().teacher} on {subtask}"):
        seeds = seeds_of(spec, settings()).first
        teacher = recording_teacher(settings())
        thinking = settings().thinking.get(Role.WRITER, "")
        figures = compare(
            teacher, spec, seeds, requests=requests, max_tokens=max_tokens, thinking=thinking
        )
        teacher.stop()
    if as_json:
        terminal.write_json(_numbers(figures))
    else:
        for name, value in _numbers(figures).items():
            terminal.write(f"{name.replace('_', ' ')}: {value}")
    if figures.ratio < GOAL:
        terminal.note(
            f"MISSED: the stage reaches {figures.ratio:.3f} of the engine's speed, the goal is "
            f"{GOAL}"
        )
        return 1
    return 0


def _numbers(figures: Comparison) -> dict[str, object]:
    return {
        "rows": figures.rows,
        "stage_tokens_per_second": round(figures.stage.per_second, 1),
        "engine_tokens_per_second": round(figures.engine.per_second, 1),
        "stage_tokens": figures.stage.tokens,
        "engine_tokens": figures.engine.tokens,
        "ratio": round(figures.ratio, 3),
        "compared_by": "CPU time" if figures.in_process else "wall clock",
        "requests_under_way": figures.capacity,
        "prefix_cache_hit_rate": round(figures.cache_hit_rate, 3),
    }
