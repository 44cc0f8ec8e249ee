"""`sdg funnel`: how many rows each stage read and accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from sdg_assets.cli import terminal
from sdg_assets.cli.costs import cost_entries, write_costs
from sdg_assets.cli.options import AsJson, Subtasks, selected
from sdg_assets.cli.terminal import Column

if TYPE_CHECKING:
    from sdg_assets.stages.funnel import FunnelRow

COLUMNS = (
    Column("task"),
    Column("subtask"),
    Column("kind", spare=2),
    Column("seeds", right=True),
    Column("generated", right=True),
    Column("parsed", right=True),
    Column("verified", right=True),
    Column("accepted", right=True),
    Column("tokens", right=True, spare=1),
    Column("tokens/s", right=True, spare=3),
)


def funnel(subtasks: Subtasks = None, as_json: AsJson = False) -> int:
    """Show how many rows each stage accepted, why the others were refused, and what rows cost.

    Prints one line for each subtask that has seeds in the store (SDG_STORE). `generated` counts
    the writer's completions, `parsed` those that could be parsed, `verified` the rows whose answer
    the votes agreed on, `accepted` the rows that passed every gate. `tokens` counts the teachers'
    output tokens; `tokens/s` is "–" where every answer was in the log before. With a probe,
    `pass rate` is the mean share of its answers that are right. The last table says what an
    accepted row costs by task, role and teacher: tokens of prompts and answers, GPU-seconds of
    teachers that ran in the steps' own processes, and money if SDG_PRICES holds prices.
    """
    from sdg_assets.catalog import configured_catalog
    from sdg_assets.settings import settings
    from sdg_assets.stages.cost import PriceList
    from sdg_assets.stages.funnel import materialized
    from sdg_assets.store.partitions import Store

    store, catalog = Store(settings().store), configured_catalog(settings())
    prices = PriceList.of(settings())
    with terminal.busy("reading the store"):
        rows = materialized(store, selected(catalog, subtasks))
    if as_json:
        terminal.write_json(
            # `asdict` makes a Counter of the pairs of a Counter, with keys that JSON does not have.
            [
                asdict(replace(row, rejections=Counter()))
                | {
                    "rejections": row.rejections,
                    "tokens_per_second": row.tokens_per_second,
                    "costs": cost_entries(row.costs, prices),
                    "currency": prices.currency or None,
                }
                for row in rows
            ]
        )
        return 0
    write_funnel(rows)
    write_costs(rows, prices)
    for row in rows:
        if row.unfinished:
            terminal.note(
                f"{row.task}/{row.subtask}: a budget of tokens ended it, {row.unfinished} rows are "
                "not finished"
            )
    if not rows:
        terminal.note(
            f"none of these subtasks is materialized in {store.root}: try `sdg quickstart`"
        )
    return 0


def write_funnel(rows: Sequence[FunnelRow]) -> None:
    """Prints a table with one line per subtask, and a table of the reasons of refusals.

    Args:
        rows: The row counts of each subtask.
    """
    if any(row.pass_rate is not None for row in rows):
        probed = Column("pass rate", right=True, spare=2)
        terminal.write_table((*COLUMNS, probed), [(*_cells(row), _pass_rate(row)) for row in rows])
    else:
        terminal.write_table(COLUMNS, map(_cells, rows))
    refusals = [
        (row.task, row.subtask, count, reason)
        for row in rows
        for reason, count in row.rejections.most_common()
    ]
    if refusals:
        terminal.write()
        rejected = (Column("task"), Column("subtask"), Column("rejected", right=True))
        terminal.write_table((*rejected, Column("by gate: reason")), refusals)


def _pass_rate(row: FunnelRow) -> str:
    return "–" if row.pass_rate is None else f"{row.pass_rate:.0%}"


def _cells(row: FunnelRow) -> tuple[object, ...]:
    return (
        row.task,
        row.subtask,
        row.kind,
        row.seeds,
        row.generated,
        row.parsed,
        row.verified,
        row.accepted,
        row.tokens,
        "–" if row.tokens_per_second is None else f"{row.tokens_per_second:.1f}",
    )
