"""Embedders that know a few words: in this process, and behind a server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from sdg_assets.records import TeacherStamp
from sdg_assets.teacher.embedder import Embedder, unit_vectors
from sdg_assets_tests.support.teacher_server import TeacherServer

if TYPE_CHECKING:
    from sdg_assets.teacher.embedder import Vectors

DIMENSIONS = 64
GERMAN = {
    "hennen": "hens", "legen": "lay", "eier": "eggs", "am": "a", "tag": "day", "wie": "how",
    "viele": "many", "in": "in", "tagen": "days", "bauer": "farmer", "verkauft": "sells",
}  # fmt: skip


def vector_of(text: str) -> list[float]:
    """The sum of a direction for each word, German words translated; numbers do not count."""
    words = re.findall(r"[^\W\d]+", text.lower()) or ["nothing"]
    total = np.zeros(DIMENSIONS)
    for word in words:
        seed = int(sha256(GERMAN.get(word, word).encode()).hexdigest()[:8], 16)
        total += np.random.default_rng(seed).standard_normal(DIMENSIONS)
    return [float(number) for number in total]


class WordEmbedder:
    """Embeds texts by their words."""

    stamp = TeacherStamp(model="org/words", revision="r1", license="MIT")
    name = "org/words@r1"

    def embed(self, texts: Sequence[str]) -> Vectors:
        return unit_vectors([vector_of(text) for text in texts], self.name)


class EmbeddingServer(TeacherServer):
    """Serves `vector_of`; the last vector of an answer comes first."""

    def __init__(self) -> None:
        super().__init__()
        self.model = "org/words"
        self.longest = 10_000
        """Most characters of a text."""
        self.inputs: list[list[str]] = []

    def embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        texts = body["input"]
        self.inputs.append(texts)
        if any(len(text) > self.longest for text in texts):
            message = "This model's maximum context length is 8192 tokens, reduce the length"
            return {"error": {"message": message, "code": "context_length_exceeded"}}
        vectors = [{"index": i, "embedding": self.vector(t)} for i, t in enumerate(texts)]
        return {"data": vectors[::-1]}

    def vector(self, text: str) -> list[float]:
        return vector_of(text)


_keeps_the_protocol: type[Embedder] = WordEmbedder
