"""The embeddings of all held-out questions that rows are compared with; searched exactly."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from sdg_assets.errors import PermanentError, StoreError
from sdg_assets.heldout.protection import PROTECTED, heldout_key
from sdg_assets.heldout.tables import ATTACHMENTS
from sdg_assets.heldout.vectors import ATTACHMENT, EMBEDDER
from sdg_assets.records import Stage
from sdg_assets.store.partitions import PartitionKey, Store
from sdg_assets.store.places import Place

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]
    Part = tuple[pl.DataFrame, pl.DataFrame]

ROWS_AT_ONCE = 1 << 14
"""Held-out vectors that are compared together: with 1,024 rows, 64 MB of products."""
SHOWN = 5


@dataclass(frozen=True)
class HeldoutAnswer:
    """The stored facts of a held-out row, besides its question."""

    answer: int
    """The answer's hash; 0 if it is withheld or long."""
    common: bool
    """Whether many rows of its table have this answer."""
    numbers: frozenset[int]
    """The hashes of the numbers in its question."""


@dataclass(frozen=True)
class Neighbour:
    """A row, and a held-out question that is near to its own."""

    place: int
    """Position of the row in its batch."""
    question: int
    """Position of the held-out question in the index."""
    similarity: float
    """Cosine of the two embeddings."""
    benchmark: str


class EmbeddingIndex:
    """The embeddings of held-out questions of any number of collections, with one embedder.

    Memory: a byte for each dimension of a question, and about 60 for each row; twice that while the
    index is built.
    """

    def __init__(self, embedder: str, parts: Mapping[str, Part]) -> None:
        """Builds the index.

        Args:
            embedder: Name of the embedder.
            parts: Name of a collection → its table of rows, and its questions with their vectors.

        Raises:
            PermanentError: The vectors differ in dimension.
        """
        import numpy as np
        import polars as pl

        self.embedder = embedder
        self.against = {name: len(vectors) for name, (_, vectors) in parts.items()}
        """Collection → number of its embedded questions."""
        columns = ("question", "answer", "common", "numbers")
        questions, rows = [], []
        for name, (table, vectors) in parts.items():
            questions.append(vectors.with_columns(benchmark=pl.lit(name)))
            rows.append(table.select(columns).with_columns(benchmark=pl.lit(name)))
        joined = pl.concat(questions).with_row_index("at")
        sizes = joined["vector"].bin.size().unique().to_list()
        if len(sizes) > 1:
            raise PermanentError(
                f"embeddings of {embedder} have {' and '.join(map(str, sorted(sizes)))} "
                "dimensions; materialize the held-out assets again"
            )
        self._vectors = np.frombuffer(b"".join(joined["vector"].to_list()), dtype=np.int8).reshape(
            len(joined), -1
        )
        places = joined.select("at", "question", "benchmark")
        matched = (
            pl.concat(rows)
            .join(places, on=["question", "benchmark"])
            .unique(["at", "answer"])
            .sort("at", "answer")
        )
        self._answer = matched["answer"].to_numpy()
        self._common = matched["common"].to_numpy()
        self._numbers = matched["numbers"].explode(empty_as_null=False).to_numpy()
        sizes_of_rows = matched["numbers"].list.len().to_numpy().astype(np.int64)
        self._number_ends = np.cumsum(sizes_of_rows)
        self._number_starts = self._number_ends - sizes_of_rows
        self._starts = np.searchsorted(matched["at"].to_numpy(), np.arange(len(joined) + 1))

    @classmethod
    def of_files(
        cls, embedder: str, attachments: Mapping[str, Callable[[str], bytes]]
    ) -> EmbeddingIndex:
        """Reads the index from the files that are attached to held-out partitions.

        Args:
            embedder: Name of the embedder.
            attachments: Name of a collection → a function that returns an attachment, by its name.
        """
        import polars as pl

        def table(read: Callable[[str], bytes], name: str) -> pl.DataFrame:
            return pl.read_parquet(io.BytesIO(read(name)))

        return cls(
            embedder,
            {
                name: (table(read, ATTACHMENTS["rows"]), table(read, ATTACHMENT))
                for name, read in attachments.items()
            },
        )

    def __len__(self) -> int:
        """The number of embedded questions."""
        return len(self._vectors)

    def search(self, vectors: Array, least: float, nearest: int) -> list[Neighbour]:
        """The held-out questions of each collection that are nearest to each row's question.

        Every held-out vector is compared: nothing is approximated.

        Args:
            vectors: The questions' vectors, each of length 1.
            least: The smallest cosine.
            nearest: Most neighbours of a row in one collection.
        """
        if len(vectors) and vectors.shape[1] != self._vectors.shape[1]:
            raise PermanentError(
                f"{self.embedder} gives {vectors.shape[1]} dimensions, the stored embeddings have "
                f"{self._vectors.shape[1]}; materialize the held-out assets again"
            )
        neighbours: list[Neighbour] = []
        first = 0
        for benchmark, size in self.against.items():
            place, question, cosine = self._nearest(vectors, first, first + size, nearest)
            at = (cosine >= least).nonzero()[0]
            columns = (column[at].tolist() for column in (place, question, cosine))
            neighbours += [Neighbour(p, q, c, benchmark) for p, q, c in zip(*columns, strict=True)]
            first += size
        return neighbours

    def answers(self, question: int) -> list[HeldoutAnswer]:
        """The answers and numbers of the held-out rows with a question."""
        answers = []
        for row in range(self._starts[question], self._starts[question + 1]):
            numbers = self._numbers[self._number_starts[row] : self._number_ends[row]].tolist()
            is_common = bool(self._common[row])
            answers.append(HeldoutAnswer(int(self._answer[row]), is_common, frozenset(numbers)))
        return answers

    def _nearest(
        self, vectors: Array, first: int, last: int, nearest: int
    ) -> tuple[Array, Array, Array]:
        """Rows' places, positions of the nearest held-out questions in a range, and cosines."""
        import numpy as np

        places = np.arange(len(vectors))[:, None]
        best = np.empty((len(vectors), 0), dtype=np.float32)
        at = np.empty((len(vectors), 0), dtype=np.int64)
        for start in range(first, last, ROWS_AT_ONCE):
            block = self._vectors[start : min(start + ROWS_AT_ONCE, last)].astype(np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            cosines = vectors @ block.T
            kept = min(nearest, cosines.shape[1])
            top = np.argpartition(-cosines, kept - 1, axis=1)[:, :kept]
            best = np.concatenate([best, cosines[places, top]], axis=1)
            at = np.concatenate([at, start + top], axis=1)
            order = np.argsort(-best, axis=1, kind="stable")[:, :nearest]
            best, at = best[places, order], at[places, order]
        return np.repeat(places[:, 0], best.shape[1]), at.ravel(), best.ravel()


def embedded(store: Store, against: Mapping[str, str], own: str, embedder: str) -> EmbeddingIndex:
    """Loads the embeddings of everything that rows are compared with by their hashes.

    Args:
        store: The store with the held-out assets.
        against: From `Protection`: the names of the collections with held-out rows.
        own: `task/subtask` of the rows.
        embedder: Name of the embedder.

    Raises:
        StoreError: The subtask's own splits or a protected benchmark have rows but no embeddings of
            this embedder, or nothing at all has: a comparison with nothing would accept everything.
    """
    keys = {name: _key(name) for name in against}
    manifests = store.manifests(keys.values())
    is_embedded = {
        name: manifests[key].info.get(EMBEDDER, {}).get("name") == embedder
        and manifests[key].info[EMBEDDER]["questions"] > 0
        for name, key in keys.items()
    }
    needed = [name for name in against if name == own or "/" not in name]
    missing = [name for name in needed if not is_embedded[name]]
    if missing or not any(is_embedded.values()):
        shown = ", ".join(missing[:SHOWN]) + (" …" if len(missing) > SHOWN else "")
        raise StoreError(
            f"held-out questions without embeddings of {embedder}: {shown or 'all'}. Rows that "
            f"translate them cannot be detected: materialize the assets {Stage.HELDOUT} of the "
            f"task and {PROTECTED}/{Stage.HELDOUT} again with this SDG_EMBEDDER, or unset it"
        )
    pinned = tuple(
        (name, keys[name], manifests[keys[name]].attached[ATTACHMENT])
        for name in against
        if is_embedded[name]
    )
    return _index(store.root, embedder, pinned)


def _key(name: str) -> PartitionKey:
    task, _, subtask = name.partition("/")
    return heldout_key(task, subtask) if subtask else heldout_key(PROTECTED, task)


@lru_cache(maxsize=1)
def _index(
    root: Place, embedder: str, pinned: tuple[tuple[str, PartitionKey, str], ...]
) -> EmbeddingIndex:
    """One index per process; it is rebuilt when any of its embeddings changed."""
    store = Store(root)
    return EmbeddingIndex.of_files(
        embedder, {name: partial(store.attachment, key) for name, key, _ in pinned}
    )
