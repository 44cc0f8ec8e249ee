"""Finds seeds by their content or their id, with a few bytes of memory a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

from sdg_assets.answers.extraction import normalized
from sdg_assets.records import Content, Example, content_id

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SeedCopies:
    """Finds drafts that repeat a seed, word for word after folding.

    Most drafts ask a question that no seed asks: their contexts and choices are never folded.
    """

    def __init__(self, seeds: Sequence[Example]) -> None:
        """Folds the questions of the seeds."""
        self._seeds = seeds
        self._questions = _Hashes(seeds, lambda seed: normalized(seed.question))
        self._keys: dict[str, _Hashes] = {}

    def hold(self, draft: Content) -> bool:
        """Whether a seed has the draft's context, question and choices, in any order."""
        question = normalized(draft.question)
        if not len(places := self._questions.places(question)):
            return False
        if question not in self._keys:
            asking = _Chosen(self._seeds, places)
            self._keys[question] = _Hashes(asking, _key)
        return len(self._keys[question].places(_key(draft))) > 0


class SeedsById(Mapping[str, Example]):
    """Id → seed."""

    def __init__(self, seeds: Sequence[Example]) -> None:
        """Reads all ids."""
        self._seeds = seeds
        self._ids = _Hashes(seeds, lambda seed: seed.id)

    def __getitem__(self, seed_id: str) -> Example:
        for place in self._ids.places(seed_id):
            seed = self._seeds[int(place)]
            if seed.id == seed_id:
                return seed
        raise KeyError(seed_id)

    def __iter__(self) -> Iterator[str]:
        return (seed.id for seed in self._seeds)

    def __len__(self) -> int:
        return len(self._seeds)


class _Hashes:
    """The places of rows by the hash of a text: 16 bytes a row."""

    def __init__(self, rows: Sequence[Example], text_of: Callable[[Example], str]) -> None:
        import numpy as np

        hashes = np.fromiter((_hash(text_of(row)) for row in rows), np.int64, len(rows))
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def places(self, text: str) -> NDArray[np.int64]:
        """The places of the rows with this text, ascending."""
        value = _hash(text)
        low = self._hashes.searchsorted(value, "left")
        return self._order[low : self._hashes.searchsorted(value, "right")]


def _hash(text: str) -> int:
    """Equal in every process, unlike `hash`."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


class _Chosen(Sequence[Example]):
    """Some of the rows, without reading them."""

    def __init__(self, rows: Sequence[Example], places: NDArray[np.int64]) -> None:
        self._rows, self._places = rows, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: int) -> Example:  # type: ignore[override]
        return self._rows[int(self._places[place])]


def _key(row: Content | Example) -> str:
    return content_id(
        normalized(row.context),
        normalized(row.question),
        sorted(normalized(choice) for choice in row.choices),
    )
