"""Metadata of a partition: what its rows cost so far, by teacher and role."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from sdg_assets.stages.cost import Cost, PriceList, total_gpu_seconds

UNKNOWN = "unknown: a teacher behind a server, or answers from before it was measured"


def cost_metadata(costs: Sequence[Cost], rows: int, prices: PriceList) -> dict[str, Any]:
    """What the rows of a stage cost, with the stages above.

    Args:
        costs: From `costs_of`; empty if no teacher was asked.
        rows: Accepted rows of the stage.
        prices: The prices in the settings.

    Returns:
        Numbers for each accepted row, which the UI plots, and a Markdown table. What is not known
        is a text that says why.
    """
    if not costs:
        return {}
    metadata: dict[str, Any] = {"cost": dg.MetadataValue.md(_table(costs, rows, prices))}
    gpu_seconds, money = total_gpu_seconds(costs), prices.money(costs)
    if rows:
        metadata["tokens_per_row"] = round(sum(cost.tokens for cost in costs) / rows, 1)
        metadata["gpu_seconds_per_row"] = (
            UNKNOWN if gpu_seconds is None else round(gpu_seconds / rows, 4)
        )
    if prices.currency:
        metadata["cost_currency"] = prices.currency
        if money is None:
            metadata["cost_per_row"] = f"unknown: {prices.why_unknown(costs)}"
        elif rows:
            metadata["cost_per_row"] = round(money / rows, 6)
    return metadata


def _table(costs: Sequence[Cost], rows: int, prices: PriceList) -> str:
    header = ["role", "teacher", "requests", "prompt tokens", "output tokens", "GPU-seconds"]
    header += ["tokens a row", *([prices.currency] if prices.currency else [])]
    lines = [header, ["---"] * len(header)]
    for cost in costs:
        seconds, money = cost.gpu_seconds, prices.money([cost])
        line = [
            cost.role.value,
            cost.model,
            f"{cost.requests:,}",
            f"{cost.prompt_tokens:,}",
            f"{cost.output_tokens:,}",
            "unknown" if seconds is None else f"{seconds:,.1f}",
            f"{cost.tokens / rows:,.1f}" if rows else "–",
        ]
        if prices.currency:
            line.append("unknown" if money is None else f"{money:,.4f}")
        lines.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
