"""The last gate: a row says what no other row says. Exact on normalized text.

It looks at a set of rows, so it comes after the gates that look at one: no row is lost to a twin
that another gate refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sdg_assets.answers.extraction import normalized
from sdg_assets.examples import EnrichedExample, Example, content_id
from sdg_assets.gates.base import Refusal

NAME = "duplicates"


def duplicate_key(row: Example) -> str:
    """Equal for rows that ask the same with the same choices, wording aside.

    The answer is left out: the same question with two answers is a contradiction, not two rows.
    """
    choices = sorted(normalized(c) for c in row.choices)
    return content_id(normalized(row.context), normalized(row.question), choices)


class Duplicates:
    """Takes the rows of a set and says in the end which of them are copies.

    Of equal rows the one with the largest share of votes stays, then the one with the smallest id:
    which one it is depends on nothing but the rows.
    """

    def __init__(self, seeds: Iterable[Example] = ()) -> None:
        """Starts with the seeds: a copy of one is not new."""
        self._seeds = {duplicate_key(seed): seed.id for seed in seeds}
        self._groups: dict[str, list[tuple[float, str, int]]] = {}
        self._ids: list[str] = []

    def add(self, rows: Sequence[Example]) -> None:
        """Takes more rows of the set."""
        for row in rows:
            share = row.vote_share if isinstance(row, EnrichedExample) else 0.0
            place = len(self._ids)
            self._groups.setdefault(duplicate_key(row), []).append((-share, row.id, place))
            self._ids.append(row.id)

    def refusals(self) -> dict[int, Refusal]:
        """The verdict on each copy, by the place at which its row was added."""
        found: dict[int, Refusal] = {}
        for key, group in self._groups.items():
            best, *others = sorted(group)
            original = self._seeds.get(key)
            if original:
                others = group
            for _, _, place in others:
                detail = f"seed {original}" if original else self._ids[best[2]]
                found[place] = Refusal(NAME, "exact duplicate", detail)
        return found
