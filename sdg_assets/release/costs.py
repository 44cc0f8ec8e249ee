"""What an accepted row of a release cost, by task, role and teacher, for its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sdg_assets.stages.cost import Cost, PriceList, total_gpu_seconds
from sdg_assets.stages.funnel import FunnelRow, costs_by_task

UNKNOWN = "unknown"


@dataclass(frozen=True)
class CostTable:
    """A table of the card.

    Attributes:
        currency: Of the last column; empty: there is none, because no prices are set.
        lines: Task, role, teacher, tokens of prompts, output tokens, GPU-seconds and money for each
            accepted row.
        unfinished: Rows that a budget of tokens did not pay for.
    """

    currency: str = ""
    lines: Sequence[Sequence[str]] = ()
    unfinished: int = 0


def cost_table(funnels: Sequence[FunnelRow], prices: PriceList) -> CostTable:
    """The costs of the released subtasks.

    Args:
        funnels: One funnel per subtask of the release.
        prices: The prices in the settings.
    """
    lines = []
    for task in costs_by_task(funnels):
        for cost in task.costs:
            names = [task.task, cost.role.value, cost.model]
            lines.append([*names, *_figures([cost], task.accepted, prices)])
        lines.append([task.task, "all", "", *_figures(task.costs, task.accepted, prices)])
    return CostTable(prices.currency, lines, sum(funnel.unfinished for funnel in funnels))


def _figures(costs: Sequence[Cost], rows: int, prices: PriceList) -> list[str]:
    amounts: list[tuple[float | None, str]] = [
        (sum(cost.prompt_tokens for cost in costs), ",.1f"),
        (sum(cost.output_tokens for cost in costs), ",.1f"),
        (total_gpu_seconds(costs), ",.3f"),
        *([(prices.money(costs), ",.6f")] if prices.currency else []),
    ]
    return [
        UNKNOWN if amount is None or not rows else format(amount / rows, form)
        for amount, form in amounts
    ]
