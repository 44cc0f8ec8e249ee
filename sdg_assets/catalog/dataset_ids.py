"""Compares ids of datasets as the Hub does: it ignores case, and old ids have no owner.

The train-only rules once compared ids letter by letter, so that the test splits of `gsm8k`, `sciq`
and `CAIS/mmlu` could be seeded, while those of `openai/gsm8k` and `cais/mmlu` were refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


def same_dataset(one: str, other: str) -> bool:
    """Whether two ids may name one dataset of the Hub.

    An id without an owner is taken for every dataset of that name: the Hub redirects `gsm8k` to
    `openai/gsm8k`, and only the Hub knows to which owner.
    """
    one, other = one.casefold(), other.casefold()
    if "/" in one and "/" in other:
        return one == other
    return _name(one) == _name(other)


class ByDataset(Generic[T]):
    """Values by the id of a dataset, found for each spelling of that id."""

    def __init__(self, values: Mapping[str, T]) -> None:
        self._by_name: dict[str, list[tuple[str, T]]] = defaultdict(list)
        for dataset, value in values.items():
            self._by_name[_name(dataset.casefold())].append((dataset, value))

    def of(self, dataset: str) -> list[tuple[str, T]]:
        """(id as it was stored, value) of each entry that may be this dataset."""
        named = self._by_name.get(_name(dataset.casefold()), [])
        return [entry for entry in named if same_dataset(entry[0], dataset)]


def _name(dataset: str) -> str:
    return dataset.rpartition("/")[2]
