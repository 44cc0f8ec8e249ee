"""A sample by strata, for people to read."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt

from sdg_assets.browse.index import Index

STRATA = ("subtask", "teacher", "variation", "topic")
"""Categories whose combinations are the strata."""


def by_strata(index: Index, rows: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.uint32]:
    """Draws rows so that as many strata as possible are read: each gives a row in turn.

    Rows of small strata are therefore read more often than by chance: that is where the faults of a
    topic or of a prompt hide. The same rows give the same sample.

    Args:
        index: The table's index.
        rows: The rows to draw from.
        count: Number of rows to draw; all, if there are fewer.

    Returns:
        The drawn rows, in their order in the table.
    """
    draw = random.Random(f"{index.table.version}:{count}")  # noqa: S311 – repeatable, not secret
    keys = [index.columns[name].to_numpy()[rows].astype(np.uint64) for name in STRATA]
    combined = keys[0] << np.uint64(48) | keys[1] << np.uint64(32)
    combined |= keys[2] << np.uint64(16) | keys[3]
    order = np.argsort(combined, kind="stable")
    starts = np.flatnonzero(np.diff(combined[order], prepend=combined[order][:1] + 1))
    strata = [list(stratum) for stratum in np.split(rows[order], starts[1:])] if len(rows) else []
    draw.shuffle(strata)
    drawn: list[np.uint32] = []
    while strata and len(drawn) < count:
        asked = strata[: count - len(drawn)]
        drawn += [stratum.pop(draw.randrange(len(stratum))) for stratum in asked]
        strata = [stratum for stratum in strata if stratum]
    return np.sort(np.array(drawn, np.uint32))
