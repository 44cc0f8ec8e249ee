"""Tests in batches how texts read that were written for rows: traces, backgrounds and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sdg_assets.enrichment.base import Enrichment
from sdg_assets.gates import Gate, text_refusals
from sdg_assets.records import Example

Added = Mapping[str, Mapping[str, Any]]
"""Name of an enrichment → the fields that it adds."""


def first_that_reads_well(
    candidates: Sequence[tuple[Example, Sequence[str]]], gates: Sequence[Gate]
) -> list[str]:
    """For each row the first of its texts that the gates accept.

    Args:
        candidates: Row → its texts, the best first.
        gates: The gates of `gates.text_gates`.

    Returns:
        One text per row, in order; empty if the gates refuse all of them.
    """
    texts = [""] * len(candidates)
    open_places = list(range(len(candidates)))
    rank = 0
    while open_places := [p for p in open_places if len(candidates[p][1]) > rank]:
        tested = [(candidates[p][0], candidates[p][1][rank]) for p in open_places]
        refused = text_refusals(tested, gates)
        for place, p in enumerate(open_places):
            if place not in refused:
                texts[p] = candidates[p][1][rank]
        open_places = [p for place, p in enumerate(open_places) if place in refused]
        rank += 1
    return texts


def without_faults(
    rows: Sequence[tuple[Example, Added]], enrichments: Sequence[Enrichment], gates: Sequence[Gate]
) -> list[dict[str, Mapping[str, Any]]]:
    """What is left of the added fields once texts that read badly are taken out.

    Args:
        rows: Row → what its enrichments added.
        enrichments: All enrichments.
        gates: The gates of `gates.text_gates`.

    Returns:
        One mapping per row, in order.
    """
    kept = [dict(added) for _, added in rows]
    for each in enrichments:
        for field in each.trained:
            places = [p for p, added in enumerate(kept) if added.get(each.name, {}).get(field)]
            texts = [(rows[p][0], str(kept[p][each.name][field])) for p in places]
            for place, refusal in text_refusals(texts, gates).items():
                reason = refusal.reason.removeprefix("context ")
                p = places[place]
                kept[p][each.name] = each.without(kept[p][each.name], field, reason)
    return kept
