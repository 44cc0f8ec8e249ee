"""The embeddings of all held-out questions that rows are compared with; searched exactly."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
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
class HeldoutQuestion:
    """The stored facts of a held-out row whose question resembles a row's."""

    benchmark: str
    answer: int
    """The answer's hash; 0 if it is withheld or long."""
    common: bool
    """Whether many rows of its table have this answer."""
    numbers: list[int]


@dataclass(frozen=True)
class Neighbour:
    """A row and a held-out row with a similar question."""

    place: int
    """Position of the row in its batch."""
    similarity: float
    """Cosine of the two embeddings."""
    heldout: HeldoutQuestion


class EmbeddingIndex:
    """The embeddings of held-out questions of any number of collections, with one embedder.

    Memory: a byte for each dimension of a question, and about 200 for each row.
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
        self._rows = (
            pl.concat(rows)
            .join(joined.select("at", "question", "benchmark"), on=["question", "benchmark"])
            .unique(["at", "answer"], maintain_order=True)
            .sort("at", maintain_order=True)
        )
        self._starts = np.searchsorted(self._rows["at"].to_numpy(), np.arange(len(joined) + 1))

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

    def search(self, vectors: Array, least: float) -> list[Neighbour]:
        """All held-out rows whose question is at least so similar, by exact comparison.

        Args:
            vectors: The questions' vectors, each of length 1.
            least: The smallest cosine.
        """
        if len(vectors) and vectors.shape[1] != self._vectors.shape[1]:
            raise PermanentError(
                f"{self.embedder} gives {vectors.shape[1]} dimensions, the stored embeddings have "
                f"{self._vectors.shape[1]}; materialize the held-out assets again"
            )
        return [
            Neighbour(place, similarity, heldout)
            for place, question, similarity in self._pairs(vectors, least)
            for heldout in self._of(question)
        ]

    def _pairs(self, vectors: Array, least: float) -> Iterator[tuple[int, int, float]]:
        import numpy as np

        for start in range(0, len(self._vectors) if len(vectors) else 0, ROWS_AT_ONCE):
            block = self._vectors[start : start + ROWS_AT_ONCE].astype(np.float32)
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            cosines = vectors @ block.T
            for place, question in np.argwhere(cosines >= least).tolist():
                yield place, start + question, float(cosines[place, question])

    def _of(self, question: int) -> Iterator[HeldoutQuestion]:
        part = self._rows[int(self._starts[question]) : int(self._starts[question + 1])]
        for row in part.iter_rows(named=True):
            yield HeldoutQuestion(row["benchmark"], row["answer"], row["common"], row["numbers"])


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
