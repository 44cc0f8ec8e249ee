"""Gate: what an output row may be used for follows from its seed and its teachers."""

from __future__ import annotations

from collections.abc import Iterable

from sdg_assets.examples import CommercialUse, Example
from sdg_assets.gates.base import EachRow, Refusal

NAME = "licence"


def judge(row: Example) -> Refusal | None:
    """Refuses a row whose seed says nothing of its licence: nobody could answer for it."""
    return None if row.source.license.strip() else Refusal(NAME, "no licence stated")


def combined_use(uses: Iterable[CommercialUse]) -> CommercialUse:
    """The strictest of several: one `no` forbids, one `unclear` clouds."""
    found = set(uses)
    return "no" if "no" in found else "unclear" if "unclear" in found else "yes"


GATE = EachRow(NAME, judge)
