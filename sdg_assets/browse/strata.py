"""A sample by strata, for people to read."""

from __future__ import annotations

import random
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from sdg_assets.browse.index import Index
from sdg_assets.records import content_id

STRATA = ("subtask", "teacher", "variation", "topic")
"""Categories whose combinations are the strata."""


def by_strata(index: Index, rows: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.uint32]:
    """Draws rows so that as many strata as possible are read: each gives a row in turn.

    Rows of small strata are therefore read more often than by chance: that is where the faults of a
    topic or of a prompt hide. The same rows give the same sample, also in a later version: a re-run
    with equal bytes once replaced the sample of an audit that was half read.

    Args:
        index: The table's index.
        rows: The rows to draw from.
        count: Number of rows to draw; all, if there are fewer.

    Returns:
        The drawn rows, in their order in the table.
    """
    content = content_id([part.sha256 for part in index.table.parts])
    draw = random.Random(f"{content}:{count}")  # noqa: S311 – repeatable, not secret
    combined, different = np.zeros(len(rows), np.uint64), 1
    for name in STRATA:
        values = index.values[name]
        size = len(values)
        # An index numbers its values in any order, so a sample that is to stay goes by their names.
        rank_of = {value: rank for rank, value in enumerate(sorted(values))}
        ranks = np.array([rank_of[value] for value in values], np.uint64)
        combined = combined * np.uint64(size) + ranks[index.columns[name][rows]]
        different *= size
    if different <= 1 << 16:
        combined = combined.astype(np.uint16)  # sorted by its digits, ten times as fast
    order = np.argsort(combined, kind="stable")
    ordered = combined[order]
    is_first = np.ones(len(rows), np.bool_)
    is_first[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(is_first)
    sizes = np.diff(np.append(starts, len(rows)))
    rounds = 0
    while np.minimum(sizes, rounds).sum() < min(count, len(rows)):
        rounds += 1
    strata = list(zip(starts.tolist(), sizes.tolist(), strict=True))
    draw.shuffle(strata)
    picked = [
        [start + place for place in draw.sample(range(size), min(size, rounds))]
        for start, size in strata
    ]
    turns = zip_longest(*picked)  # every stratum's first row, every stratum's second one, …
    drawn = [place for turn in turns for place in turn if place is not None][:count]
    return np.sort(rows[order[drawn]]) if drawn else rows[:0]
