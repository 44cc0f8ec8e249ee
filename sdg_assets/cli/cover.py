"""`sdg cover`: shows what the job `cover` would have written, without launching it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdg_assets.cli import terminal
from sdg_assets.cli.options import AsJson
from sdg_assets.cli.terminal import Column

WISHES = (
    Column("rows", right=True),
    Column("of", right=True),
    Column("planned", right=True, spare=2),
    Column("cannot", right=True, spare=1),
    Column("wish"),
)
TARGETS = (
    Column("subtask"),
    Column("accepted", right=True),
    Column("yield", right=True, spare=1),
    Column("examples at most", right=True, spare=2),
)


def cover(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A YAML file with the run config of the job `cover`: wishes, minimum, writers, "
            "without, rounds, most_per_seed. Default: SDG_COVERAGE_MINIMUM rows of each cell.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show what the job `cover` would have written, without launching it.

    Prints the wishes that the accepted rows in the store do not meet, and the targets of the
    subtasks that would meet them with the fewest requests. `planned` is what a wish is expected to
    have after the first round, `cannot` how many rows no enabled subtask can write. To launch it,
    paste the file as config of the job `cover` in the Dagster UI.
    """
    from sdg_assets.settings import settings
    from sdg_assets.stages.supplies import planned
    from sdg_assets.stages.wishes import CoverRequest, read_request

    request = read_request(file) if file else CoverRequest()
    with terminal.busy("reading the store"):
        plan = planned(request, settings())
    unmet = [goal for goal in plan.goals if not goal.is_met]
    if as_json:
        terminal.write_json(
            {
                "wishes": len(plan.goals),
                "unmet": [
                    {
                        **goal.wish.model_dump(exclude_defaults=True),
                        "has": goal.rows,
                        "minimum": goal.minimum,
                        "planned": goal.planned,
                        "unfillable": goal.unfillable,
                    }
                    for goal in unmet
                ],
                "targets": {name: vars(target) for name, target in plan.targets.items()},
                "requests": plan.requests,
            }
        )
        return 0
    if unmet:
        terminal.write_table(
            WISHES, [(g.rows, g.minimum, g.planned, g.unfillable, g.wish.label) for g in unmet]
        )
        terminal.write()
    if plan.targets:
        terminal.write_table(
            TARGETS,
            [
                (name, target.rows, f"{target.expected_yield:.0%}", target.most_written)
                for name, target in plan.targets.items()
            ],
        )
        terminal.write()
    terminal.write(
        f"{len(plan.goals) - len(unmet)} of {len(plan.goals)} wishes are met; "
        f"{len(plan.targets)} subtasks would write about {plan.requests} examples in the first "
        f"of {request.rounds} rounds"
    )
    for goal in unmet:
        if goal.unfillable:
            terminal.note(goal.why_unfillable)
    return 0
