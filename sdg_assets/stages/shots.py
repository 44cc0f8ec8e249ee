"""The seeds that a prompt shows beside its anchor: which ones, and how."""

from __future__ import annotations

import string
from collections.abc import Sequence
from hashlib import shake_128
from itertools import islice
from struct import unpack
from typing import TypeVar

from sdg_assets.answers import answer_format
from sdg_assets.answers.extraction import normalized
from sdg_assets.catalog import SubtaskSpec
from sdg_assets.records import Example
from sdg_assets.stages.seeds import seed_rank

ValueT = TypeVar("ValueT")
NEIGHBOUR_POOL = 8
"""How many other seeds are drawn as candidates for an anchor's neighbours."""
SHOWN_SEEDS = 1 << 13
"""From how many seeds, the first by rank, all neighbours are drawn. They stay in memory: drawn from
all of 100,000 seeds, reading them took most of the time."""
CACHED_SEEDS = 2 * SHOWN_SEEDS
"""Seeds whose words and drafts are kept in memory, 8 KB each: those that were kept last. A seed
after the first `SHOWN_SEEDS` is used only for its own examples, which follow each other."""
_DRAWS = 3 * (NEIGHBOUR_POOL + 1)
"""Numbers drawn for an anchor: some of them are equal if there are few seeds."""
_TO_BLANKS = str.maketrans(dict.fromkeys(string.punctuation, " "))


class Ranking:
    """The order in which seeds are sampled, see `seed_rank`, with 24 bytes a seed."""

    def __init__(self, spec: SubtaskSpec, positions: Sequence[int], rows: Sequence[int]) -> None:
        """Ranks seeds.

        Args:
            spec: The subtask.
            positions: The seeds' positions, ascending.
            rows: The positions of their rows in the split.
        """
        import numpy as np

        ranks = np.empty(len(rows), [("elsewhere", "?"), ("digest", "u8")])
        for place, row in enumerate(rows):
            elsewhere, digest = seed_rank(spec, row)
            ranks[place] = elsewhere, int.from_bytes(digest)
        order = np.lexsort((ranks["digest"], ranks["elsewhere"]))
        self._positions = np.asarray(positions, np.int64)[order]
        self._places = np.empty(len(order), np.int64)
        self._places[order] = np.arange(len(order))
        self._sorted = np.asarray(positions, np.int64)

    def earlier(self, position: int, seed_id: str) -> list[int]:
        """Positions of seeds, drawn for an anchor, that rank before it or are the first few.

        So a larger `max_seeds` does not change the prompts of the earlier seeds, and their logged
        completions are reused. No seed after the first `SHOWN_SEEDS` is drawn.
        """
        place = int(self._places[self._sorted.searchsorted(position)])
        count = min(max(place, NEIGHBOUR_POOL + 1), SHOWN_SEEDS, len(self._places))
        drawn = self._positions[_drawn(count, seed_id)].tolist()
        return [other for other in drawn if other != position]


class SeedPrompts:
    """The seeds of a partition as the writer's prompts show them, with what is derived from each.

    A seed is shown in several prompts; what costs time is computed once.
    """

    def __init__(self) -> None:
        """Computes nothing yet."""
        self._drafts: dict[str, str] = {}
        self._words: dict[str, frozenset[str]] = {}

    def draft(self, seed: Example) -> str:
        """The seed as the JSON that the writer is to imitate."""
        draft = self._drafts.get(seed.id)
        if draft is None:
            draft = answer_format(seed.answer_kind).draft_of(seed).model_dump_json()
            _keep(self._drafts, seed.id, draft)
        return draft

    def words(self, seed: Example) -> frozenset[str]:
        """The words of its context and question."""
        words = self._words.get(seed.id)
        if words is None:
            words = _words(f"{seed.context} {seed.question}")
            _keep(self._words, seed.id, words)
        return words

    def neighbours(self, anchor: Example, pool: Sequence[Example], count: int) -> list[Example]:
        """The seeds of the pool that differ most from the anchor and from each other."""
        words = [self.words(seed) for seed in pool]
        left, selected = list(range(len(pool))), list[int]()
        newest = self.words(anchor)
        nearest = [0.0] * len(pool)  # similarity to the most similar seed selected so far
        while left and len(selected) < count:
            for i in left:
                nearest[i] = max(nearest[i], _similarity(words[i], newest))
            farthest = min(left, key=nearest.__getitem__)
            left.remove(farthest)
            selected.append(farthest)
            newest = words[farthest]
        return [pool[i] for i in selected]


def _similarity(left: frozenset[str], right: frozenset[str]) -> float:
    """Jaccard similarity of two sets of words, 0 to 1."""
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared) if left or right else 1.0


def _drawn(count: int, anchor_id: str) -> list[int]:
    """Different numbers below `count`, repeatable: `random.Random` takes ten times as long."""
    numbers = unpack(f"<{_DRAWS}Q", shake_128(anchor_id.encode()).digest(8 * _DRAWS))
    if count <= NEIGHBOUR_POOL + 1:
        return sorted(range(count), key=numbers.__getitem__)
    different = dict.fromkeys(number % count for number in numbers)
    return list(islice(different, NEIGHBOUR_POOL + 1))


def _words(text: str) -> frozenset[str]:
    """Folding every word as answers are folded takes ten times as long, and shows no more here."""
    if text.isascii():
        return frozenset(text.lower().translate(_TO_BLANKS).split())
    return frozenset(normalized(text).split())


def _keep(cache: dict[str, ValueT], seed_id: str, value: ValueT) -> None:
    """Keeps a seed's value; a full cache drops the one that was kept longest ago."""
    cache[seed_id] = value
    if len(cache) > CACHED_SEEDS:
        del cache[next(iter(cache))]
