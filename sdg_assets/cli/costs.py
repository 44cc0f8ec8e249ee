"""What the rows of tasks cost, by teacher and role, as a table of `sdg funnel`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sdg_assets.cli import terminal
from sdg_assets.cli.terminal import Column

if TYPE_CHECKING:
    from sdg_assets.stages.cost import Cost, PriceList
    from sdg_assets.stages.funnel import FunnelRow, TaskCosts

COLUMNS = (
    Column("task"),
    Column("role"),
    Column("teacher", spare=2),
    Column("prompt tokens", right=True, spare=3),
    Column("output tokens", right=True, spare=3),
    Column("tokens/row", right=True),
    Column("GPU-s/row", right=True),
)


def write_costs(rows: Sequence[FunnelRow], prices: PriceList) -> None:
    """Prints what an accepted row costs, by task, role and teacher; nothing if none was asked.

    Args:
        rows: The funnels of subtasks.
        prices: The prices in the settings.
    """
    lines = list(_lines(rows, prices))
    if not lines:
        return
    money = (Column(f"{prices.currency}/row", right=True),) if prices.currency else ()
    terminal.write()
    terminal.write_table((*COLUMNS, *money), lines)
    costs = [cost for row in rows for cost in row.costs]
    if prices.currency and prices.money(costs) is None:
        terminal.note(f"Some prices are unknown: {prices.why_unknown(costs)}.")


def cost_entries(costs: Sequence[Cost], prices: PriceList) -> list[dict[str, Any]]:
    """The costs as JSON, each with its money; None where that is unknown."""
    return [vars(cost) | {"money": prices.money([cost])} for cost in costs]


def _lines(rows: Sequence[FunnelRow], prices: PriceList) -> Iterator[tuple[object, ...]]:
    from sdg_assets.stages.funnel import costs_by_task

    for task in costs_by_task(rows):
        for cost in task.costs:
            yield task.task, cost.role.value, cost.model, *_figures(task, [cost], prices)
        yield task.task, "all", "", *_figures(task, task.costs, prices)


def _figures(task: TaskCosts, costs: Sequence[Cost], prices: PriceList) -> Iterator[object]:
    """Tokens, then what an accepted row cost."""
    from sdg_assets.stages.cost import total_gpu_seconds

    yield sum(cost.prompt_tokens for cost in costs)
    yield sum(cost.output_tokens for cost in costs)
    yield _a_row(sum(cost.tokens for cost in costs), task.accepted, ".0f")
    yield _a_row(total_gpu_seconds(costs), task.accepted, ".3f")
    if prices.currency:
        yield _a_row(prices.money(costs), task.accepted, ".6f")


def _a_row(amount: float | None, rows: int, form: str) -> str:
    if amount is None:
        return "unknown"
    return format(amount / rows, form) if rows else "–"
