"""A plan of `cover` as Markdown, for the page of its run."""

from __future__ import annotations

from collections.abc import Iterator

from sdg_assets.release.matrix_page import table
from sdg_assets.stages.cover import Plan

LINES_SHOWN = 50


def cover_page(plan: Plan) -> str:
    """The wishes that are not met yet, and the targets of the subtasks that are to write."""
    return "\n\n".join(_parts(plan))


def _parts(plan: Plan) -> Iterator[str]:
    unmet = [goal for goal in plan.goals if not goal.is_met]
    yield (
        f"{len(plan.goals) - len(unmet):,} of {len(plan.goals):,} wishes are met. "
        f"{len(plan.targets):,} subtasks write about {plan.requests:,} new examples in this round."
    )
    if unmet:
        yield "### Wishes that are not met\n\n" + table(
            ("rows", "of", "after this round", "cannot be written", "wish"),
            [
                (g.rows, g.minimum, g.planned, g.unfillable or "", g.wish.label)
                for g in unmet[:LINES_SHOWN]
            ],
        )
    if plan.targets:
        yield "### Targets\n\n" + table(
            ("subtask", "accepted rows", "expected yield", "examples at most"),
            [
                (name, target.rows, f"{target.expected_yield:.0%}", target.most_written)
                for name, target in list(plan.targets.items())[:LINES_SHOWN]
            ],
        )
    more = max(len(unmet), len(plan.targets)) - LINES_SHOWN
    if more > 0:
        yield f"The first {LINES_SHOWN} lines are shown; `sdg cover` prints all."
