"""Finds the passages that a question is about: BM25 over stems, by the library bm25s.

bm25s was chosen over tantivy: it needs NumPy alone, its index is plain arrays that are equal
byte for byte in every process and lie in the store like any attachment, and a search is a sum over
them. An index of tantivy is a folder of segments with random names, merged by threads, which a
bucket cannot hold. Both are MIT and kept up. An index takes 8 bytes for each distinct word of each
passage: about 0.6 GB for a million passages of 70 words.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdg_assets.passages.words import stems
from sdg_assets.records import Passage
from sdg_assets.store.disk import SCRATCH, clear_errors, temporary_directory

if TYPE_CHECKING:
    import numpy as np

RELEVANT = 0.3
"""Share of a question's words, weighted by rarity, that a passage must have."""
LEAST_WORDS = 2
"""Distinct words that a question and its passage must share."""
CANDIDATES = 20


class PassageIndex:
    """The passages with their index. Nothing changes it, so threads may share it."""

    def __init__(
        self, passages: Sequence[Passage], attachments: Mapping[str, bytes], version: str
    ) -> None:
        """Loads the index.

        Args:
            passages: All passages, in the order in which they were indexed.
            attachments: The result of `indexed`.
            version: Identifies the passages.
        """
        import numpy as np

        self.version = version
        self._passages, self._attachments = passages, dict(attachments)
        with clear_errors(temporary_directory(), "TMPDIR"), _scratch() as folder:
            for name, data in attachments.items():
                (folder / name).write_bytes(data)
            # Mapped: the arrays stay on disk, although the folder goes.
            self._search: Any = _bm25().load(folder, mmap=True, show_progress=False, verbosity=0)
        self._vocabulary: Mapping[str, int] = self._search.vocab_dict
        self._frequencies = np.diff(self._search.scores["indptr"])

    def __reduce__(self) -> tuple[Any, ...]:
        """For the processes that publish rows: they load the index anew."""
        return PassageIndex, (self._passages, self._attachments, self.version)

    def __len__(self) -> int:
        return len(self._passages)

    def search(self, question: str, count: int) -> list[Passage]:
        """The passages that a question is about, the best first; equal ones in stored order.

        Args:
            question: The question, with its answer if that is known.
            count: Most passages to return.
        """
        question_stems = sorted(set(stems(question)))
        known = [self._vocabulary[stem] for stem in question_stems if stem in self._vocabulary]
        if len(known) < LEAST_WORDS:
            return []
        weights = {stem: self._weight(stem) for stem in question_stems}
        passages = []
        for place in _best(self._search.get_scores_from_ids(known)):
            passage = self._passages[place]
            shared = weights.keys() & stems(searched_text(passage))
            share = sum(weights[stem] for stem in shared) / sum(weights.values())
            if len(shared) >= LEAST_WORDS and share >= RELEVANT:
                passages.append(passage)
            if len(passages) == count:
                break
        return passages

    def drawn(self, key: str, number: int) -> Passage:
        """A passage for a question to be asked about; numbers in a row give different ones.

        Args:
            key: Selects where the walk begins.
            number: Its step, from 0.
        """
        start = int.from_bytes(blake2b(key.encode(), digest_size=8).digest())
        return self._passages[(start + number) % len(self._passages)]

    def _weight(self, stem: str) -> float:
        """The rarity of a stem among the passages; smooth, so that a few passages do, too."""
        total = len(self._passages)
        with_it = int(self._frequencies[self._vocabulary[stem]]) if stem in self._vocabulary else 0
        return math.log(1 + total / (1 + with_it))


def _best(scores: np.ndarray[Any, Any]) -> list[int]:
    """Places of the highest scores above 0, the best first; equal ones by their place."""
    import numpy as np

    rounded = np.round(scores, 4)  # so that ties are ties on every machine
    count = min(CANDIDATES, len(rounded))
    least = np.partition(rounded, -count)[-count]
    places = np.flatnonzero((rounded >= least) & (rounded > 0))
    order = np.lexsort((places, -rounded[places]))[:CANDIDATES]
    return [int(place) for place in places[order]]


def indexed(passages: Sequence[Passage]) -> dict[str, bytes]:
    """The index of passages, as named files.

    Args:
        passages: At least one passage; they are read twice, so that memory holds no text.
    """
    known: set[str] = set()
    known.update(stem for passage in passages for stem in stems(searched_text(passage)))
    # Sorted: the order of a set differs from process to process.
    vocabulary = {stem: place for place, stem in enumerate(sorted(known))}
    ids = [[vocabulary[stem] for stem in stems(searched_text(each))] for each in passages]
    index = _bm25()()
    index.index((ids, vocabulary), show_progress=False)
    with clear_errors(temporary_directory(), "TMPDIR"), _scratch() as folder:
        index.save(folder, show_progress=False)
        return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def _bm25() -> Any:  # noqa: ANN401 – bm25s has no types
    """The class of bm25s, imported without numba.

    NumPy suffices. And numba loads llvmlite, whose functions vLLM's CPU build (0.32) cannot look
    at while it starts an engine: "'_lib_fn_wrapper' object has no attribute 'get'".
    """
    if "bm25s" in sys.modules or "numba" in sys.modules:
        from bm25s import BM25
    else:
        sys.modules["numba"] = None  # type: ignore[assignment]  # makes its import fail
        try:
            from bm25s import BM25
        finally:
            del sys.modules["numba"]
    return BM25


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as folder:
        yield Path(folder)


def searched_text(passage: Passage) -> str:
    """What is searched of a passage."""
    return f"{passage.title}\n{passage.text}"
