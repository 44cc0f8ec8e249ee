"""Embeddings of the questions of one held-out collection, in their stored form.

Translations and paraphrases share no n-grams with a held-out question, but their embeddings lie
close to its own. A collection keeps one vector a question, quantized to 8 bits a dimension, under
the hash by which its table of hashes knows the question. There is no text in it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sdg_assets.records import Content
from sdg_assets.teacher.embedder import Embedder

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ATTACHMENT, EMBEDDER = "embeddings.parquet", "embedder"
"""Name of the attached file, and of the entry in the manifest that names its embedder."""


class QuestionVectors:
    """Collects the vectors of held-out questions; no text outlives `add`."""

    def __init__(self, embedder: Embedder) -> None:
        """Starts without questions.

        Args:
            embedder: Embeds the questions.
        """
        self._embedder = embedder
        self._vectors: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._vectors)

    def add(self, questions: Mapping[int, str]) -> None:
        """Embeds questions that are new.

        Args:
            questions: Hash of a question → its text.
        """
        new = {key: text for key, text in questions.items() if key not in self._vectors and key}
        if new:
            vectors = quantized(self._embedder.embed([*new.values()]))
            self._vectors |= dict(zip(new, map(bytes, vectors), strict=True))

    def attachment(self) -> tuple[dict[str, bytes], dict[str, Any]]:
        """The file to attach to the partition, and the entry for its manifest."""
        import polars as pl

        buffer = io.BytesIO()
        schema = {"question": pl.UInt64(), "vector": pl.Binary()}
        columns = [[*self._vectors], [*self._vectors.values()]]
        pl.DataFrame(columns, schema=schema, orient="col").write_parquet(buffer)
        info = {"name": self._embedder.name, "questions": len(self._vectors)}
        return {ATTACHMENT: buffer.getvalue()}, {EMBEDDER: info}


def quantized(vectors: Array) -> Array:
    """Vectors as int8, each with its own scale: the largest component becomes 127."""
    import numpy as np

    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    whole: Array = np.round(vectors * (127 / largest)).astype(np.int8)
    return whole


def questions_of(rows: Sequence[Mapping[str, Any]], contents: Sequence[Content]) -> dict[int, str]:
    """Hash of a question → its text, for hashed rows and the contents that they were made from."""
    pairs = zip(rows, contents, strict=True)
    return {row["question"]: content.question for row, content in pairs}
