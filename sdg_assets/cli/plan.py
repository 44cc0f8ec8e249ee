"""`sdg plan`: estimates the cost of a run before any GPU is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.options import AsJson, Subtasks, selected
from sdg_assets.cli.terminal import Column

if TYPE_CHECKING:
    from sdg_assets.stages.plan import SubtaskPlan

COLUMNS = (
    Column("task"),
    Column("subtask"),
    Column("seeds", right=True, spare=2),
    Column("requests", right=True),
    Column("prompt tokens", right=True, spare=1),
    Column("output tokens", right=True),
    Column("GPU-hours", right=True),
)


def plan(
    subtasks: Subtasks = None,
    tokens_per_second: Annotated[
        float, typer.Option(min=1, help="Output tokens per second of one GPU.")
    ] = 2000.0,
    as_json: AsJson = False,
) -> int:
    """Estimate the cost of a run before any GPU is used: requests, tokens and GPU-hours.

    Prompts are rendered from the real seeds and counted with the tokenizer of SDG_TEACHER. A new
    example is assumed to be as long as a seed; thoughts, traces and backgrounds have typical
    lengths.
    """
    from sdg_assets.catalog import configured_catalog
    from sdg_assets.records import Role
    from sdg_assets.settings import settings
    from sdg_assets.stages.plan import (
        RoughCounter,
        TokenCounter,
        plan_subtask,
        seeds_of,
        thoughts_of,
    )
    from sdg_assets.teacher import open_teacher

    knobs = settings()
    specs = selected(configured_catalog(knobs), subtasks)
    teacher = open_teacher(knobs, Role.WRITER)
    writer = teacher if isinstance(teacher, TokenCounter) else RoughCounter()
    thoughts = thoughts_of(knobs)
    plans = [
        plan_subtask(spec, seeds, writer, knobs, len(seeds), thoughts)
        for spec in terminal.each(specs, "planning")
        for seeds in [seeds_of(spec, knobs)]
    ]
    if as_json:
        terminal.write_json(
            [asdict(plan) | {"gpu_hours": plan.gpu_hours(tokens_per_second)} for plan in plans]
        )
    else:
        _write_plans(plans, tokens_per_second)
    return 0


def _write_plans(plans: Sequence[SubtaskPlan], tokens_per_second: float) -> None:
    from sdg_assets.stages.plan import total

    def cells(plan: SubtaskPlan) -> tuple[object, ...]:
        return (
            plan.task,
            plan.subtask,
            plan.seeds,
            plan.requests,
            plan.prompt_tokens,
            plan.output_tokens,
            f"{plan.gpu_hours(tokens_per_second):.2f}",
        )

    terminal.write_table(COLUMNS, map(cells, [*plans, total(plans)]))
