"""Gate 3: a row says what no other row says. Exact on normalized text."""

from __future__ import annotations

from collections.abc import Iterable

from sdg_assets.answers.extraction import normalized
from sdg_assets.examples import Example, content_id
from sdg_assets.gates.base import Refusal

NAME = "duplicates"


def duplicate_key(row: Example) -> str:
    """Equal for rows that ask the same with the same choices, wording aside.

    The answer is left out: the same question with two answers is a contradiction, not two rows.
    """
    choices = sorted(normalized(c) for c in row.choices)
    return content_id(normalized(row.context), normalized(row.question), choices)


class DuplicatesGate:
    """Remembers the rows of its partition; the first one stays."""

    def __init__(self, seeds: Iterable[Example] = ()) -> None:
        """Starts with the seeds, as a copy of one is not new."""
        self._seen = {duplicate_key(seed): f"seed {seed.id}" for seed in seeds}

    def __call__(self, row: Example) -> Refusal | None:
        """Refuses a row whose key was seen."""
        key = duplicate_key(row)
        if earlier := self._seen.get(key):
            return Refusal(NAME, "exact duplicate", earlier)
        self._seen[key] = row.id
        return None
