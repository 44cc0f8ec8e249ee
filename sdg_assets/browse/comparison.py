"""Two selections of a subtask's rows side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sdg_assets.browse.columns import ACCEPTED
from sdg_assets.browse.index import hash_of
from sdg_assets.browse.rows import Row, rows_at
from sdg_assets.browse.selection import Selection
from sdg_assets.release.diversity import Diversity, measure

SAMPLED = 100
"""Questions whose diversity is measured; every pair of them is compared."""
PAIRS = 20
"""Seeds whose rows are shown side by side."""


@dataclass(frozen=True)
class Side:
    """The figures of a selection."""

    selection: Selection
    accepted: int
    rows: int
    diversity: Diversity
    reasons: Mapping[str, int]
    """`gate: reason` → refused rows."""

    @property
    def share(self) -> float | None:
        """The yield: accepted rows by all. None without rows."""
        return self.accepted / self.rows if self.rows else None


def side_of(selection: Selection) -> Side:
    """The figures of a selection."""
    index, selected = selection.index, selection.rows
    is_accepted = index.columns["state"][selected] == index.code("state", ACCEPTED)
    numbers, refused = selected[is_accepted], selected[~is_accepted]
    why = zip(index.columns["gate"][refused], index.columns["reason"][refused], strict=True)
    gates, texts = index.values["gate"], index.values["reason"]
    reasons = {f"{gates[g]}: {texts[r]}": count for (g, r), count in Counter(why).items()}
    places = np.linspace(0, len(numbers) - 1, min(SAMPLED, len(numbers))).astype(int)
    rows = rows_at(index, [int(numbers[place]) for place in places])
    questions = [str(row.fields.get("question") or "") for row in rows]
    return Side(selection, len(numbers), len(selected), measure(questions), reasons)


def pairs(left: Selection, right: Selection) -> list[tuple[Row, Row]]:
    """The first row of each side for each of the first `PAIRS` seeds that both sides imitate."""
    ours, theirs = _by_anchor(left), _by_anchor(right)
    anchors = [anchor for anchor in ours if anchor in theirs][:PAIRS]
    lefts = rows_at(left.index, [ours[anchor] for anchor in anchors])
    rights = rows_at(right.index, [theirs[anchor] for anchor in anchors])
    return list(zip(lefts, rights, strict=True))


def reasons(left: Side, right: Side) -> Sequence[tuple[str, float, float]]:
    """(`gate: reason`, share of the left rows, share of the right rows), the largest first."""
    shares = [
        (name, _share(name, left), _share(name, right)) for name in {*left.reasons, *right.reasons}
    ]
    return sorted(shares, key=lambda entry: (-max(entry[1], entry[2]), entry[0]))


def _share(reason: str, side: Side) -> float:
    return side.reasons.get(reason, 0) / side.rows if side.rows else 0.0


def _by_anchor(selection: Selection) -> dict[int, int]:
    """Hash of the anchor → the first of the selected rows after it."""
    nobody = hash_of("")
    anchors = selection.index.columns["anchor"][selection.rows]
    distinct, first = np.unique(anchors, return_index=True)
    return {
        int(anchor): int(selection.rows[place])
        for anchor, place in sorted(zip(distinct, first, strict=True), key=lambda pair: pair[1])
        if anchor != nobody
    }
