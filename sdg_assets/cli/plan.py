"""`sdg plan`: estimates the cost of a run before any GPU is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.options import AsJson, Subtasks, selected
from sdg_assets.cli.terminal import Column
from sdg_assets.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from sdg_assets.stages.fleet import Fleet, Forecast
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
        float,
        typer.Option(min=1, help="Output tokens per second of one GPU; `sdg bench` measures them."),
    ] = 2000.0,
    gpus: Annotated[int, typer.Option(min=1, help="GPUs that work at the same time.")] = 1,
    hours: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="Tell how many teachers are needed to be done in so many hours.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, help="Requests that one teacher computes together.")
    ] = 256,
    load_minutes: Annotated[
        float, typer.Option(min=0, help="Minutes until a teacher is loaded, once a stage.")
    ] = 5.0,
    failures_per_day: Annotated[
        float, typer.Option(min=0, help="How often one teacher dies or is evicted.")
    ] = 0.0,
    spread: Annotated[
        float,
        typer.Option(
            min=0, help="How uneven answers are: standard deviation of their tokens ÷ mean."
        ),
    ] = 0.5,
    as_json: AsJson = False,
) -> int:
    """Estimate the cost of a run before any GPU is used: requests, tokens, GPU-hours, hours, money.

    Prompts are rendered from the real seeds and counted with the tokenizer of SDG_TEACHER. Seeds
    are counted in the store if it has those of the settings, else in the seed source. A new
    example is assumed to be as long as a seed; thoughts, traces and backgrounds have typical
    lengths. The line below the table simulates the run on `--gpus`, with uneven shares, loading,
    the last long answers and failures, without publishing; `--hours` turns the question around.
    Prices in SDG_PRICES add a column with the money. `--json` also counts requests and tokens by
    role.
    """
    from sdg_assets.catalog import configured_catalog
    from sdg_assets.records import Role
    from sdg_assets.settings import settings
    from sdg_assets.stages.cost import PriceList
    from sdg_assets.stages.fleet import Fleet, forecast, replicas_for
    from sdg_assets.stages.plan import (
        RoughCounter,
        TokenCounter,
        gpus_of_a_replica,
        plan_subtask,
        seeds_of,
        thoughts_of,
        total,
    )
    from sdg_assets.stages.plan_costs import expected_costs, models_of
    from sdg_assets.teacher import token_counter

    knobs = settings()
    specs = selected(configured_catalog(knobs), subtasks)
    each = max(1, gpus_of_a_replica(knobs))
    if gpus < each:
        raise PermanentError(f"--gpus {gpus}: the solver needs {each} GPUs, says its card")
    writer: TokenCounter = RoughCounter()
    try:
        teacher = token_counter(knobs, Role.WRITER)
        writer = teacher if isinstance(teacher, TokenCounter) else writer
    except TransientError as error:
        terminal.note(f"Tokens are estimated, at four characters each: {error}")
    thoughts = thoughts_of(knobs)
    plans, origins = [], list[str]()
    for spec in terminal.each(specs, "planning"):
        seeds, count, origin = seeds_of(spec, knobs)
        plans.append(plan_subtask(spec, seeds, writer, knobs, count, thoughts))
        origins.append(origin)
    fleet = Fleet(
        replicas=gpus // each,
        tokens_per_second=tokens_per_second * each,
        batch=batch,
        load_seconds=60 * load_minutes,
        failures_per_day=failures_per_day,
        spread=spread,
    )
    summed, prices = total(plans), PriceList.of(knobs)
    models = models_of(knobs) if prices.currency else {}
    priced = [*plans, summed] if prices.currency else []
    costs = [expected_costs(plan, models, tokens_per_second) for plan in priced]
    money = [prices.money(of_plan) for of_plan in costs]
    phases = [summed.generated, summed.enriched]
    expected = forecast(phases, fleet)
    needed = replicas_for(phases, hours, fleet) if hours else None
    if as_json:
        subtask_plans = [
            _numbers(plan, tokens_per_second)
            | {"seeds_from": origins[place]}
            | ({"money": money[place], "currency": prices.currency} if money else {})
            for place, plan in enumerate(plans)
        ]
        terminal.write_json(
            {"subtasks": subtask_plans, "fleet": asdict(fleet), "forecast": asdict(expected)}
            | ({"replicas_needed": needed} if hours else {})
        )
    else:
        _write_plans([*plans, summed], tokens_per_second, prices.currency, money)
        for origin, counted in Counter(origins).items():
            terminal.note(f"Seeds counted in {origin}: {counted} of {len(plans)} subtasks.")
        if None in money:
            terminal.note(f"Some prices are unknown: {prices.why_unknown(costs[-1])}.")
        terminal.write(_forecast_line(fleet, each, expected))
        if hours:
            terminal.write(_needed_line(needed, each, hours))
    return 0


def _numbers(plan: SubtaskPlan, tokens_per_second: float) -> dict[str, object]:
    return {
        "task": plan.task,
        "subtask": plan.subtask,
        "seeds": plan.seeds,
        "requests": plan.requests,
        "prompt_tokens": plan.prompt_tokens,
        "output_tokens": plan.output_tokens,
        "gpu_hours": plan.gpu_hours(tokens_per_second),
        "roles": {role.value: asdict(load) for role, load in plan.roles.items()},
        **{stage.value: asdict(phase) for stage, phase in plan.phases.items()},
    }


def _forecast_line(fleet: Fleet, each: int, forecast: Forecast) -> str:
    line = (
        f"\n{_teachers(fleet.replicas, each)}: {forecast.hours:.1f} h, and one run of twenty takes "
        f"more than {forecast.late_hours:.1f} h. {forecast.replica_hours * each:.1f} GPU-hours, "
        f"of which {1 - forecast.busy_share:.0%} go to loading, the last answers and failures."
    )
    if fleet.replicas > 1:
        line += f" For {forecast.tail_hours:.1f} h, not all teachers have rows left."
    return line


def _needed_line(needed: int | None, each: int, hours: float) -> str:
    if needed is None:
        return (
            f"No number of teachers is done in {hours:g} h: a stage takes longer to begin and end."
        )
    return (
        f"{hours:g} h need {_teachers(needed, each)}; on Kubernetes, run with the tag "
        f"sdg/indexes={needed}."
    )


def _teachers(replicas: int, each: int) -> str:
    of_each = f" of {each} GPUs" if each > 1 else ""
    return f"{replicas} teacher{'s' * (replicas > 1)}{of_each}"


def _write_plans(
    plans: Sequence[SubtaskPlan],
    tokens_per_second: float,
    currency: str,
    money: Sequence[float | None],
) -> None:
    def cells(place: int, plan: SubtaskPlan) -> tuple[object, ...]:
        amount = money[place] if money else None
        priced = (("unknown" if amount is None else f"{amount:,.2f}"),) if money else ()
        return (
            plan.task,
            plan.subtask,
            plan.seeds,
            plan.requests,
            plan.prompt_tokens,
            plan.output_tokens,
            f"{plan.gpu_hours(tokens_per_second):.2f}",
            *priced,
        )

    columns = (*COLUMNS, *([Column(currency, right=True)] if money else []))
    terminal.write_table(columns, [cells(place, plan) for place, plan in enumerate(plans)])
