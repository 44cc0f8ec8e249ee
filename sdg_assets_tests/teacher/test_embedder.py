from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from sdg_assets.errors import PermanentError, TeacherError, TeacherGoneError
from sdg_assets.settings import Settings
from sdg_assets.teacher import embedder as module
from sdg_assets.teacher.embedder import PACKAGED, PackagedEmbedder, embedder_of, unit_vectors
from sdg_assets.teacher.server import server as servers
from sdg_assets_tests.support.embedding import EmbeddingServer, WordEmbedder
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

TEXTS = [f"How many eggs are in box number {n}?" for n in ["one", "two", "three", "four", "five"]]


def test_without_a_setting_there_is_no_embedder() -> None:
    assert embedder_of(Settings()) is None


def test_a_server_embeds_texts_in_their_order_and_in_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TEXTS_PER_REQUEST", 2)
    with teacher_server(EmbeddingServer()) as server:
        embedder = embedder_of(Settings(embedder=server.url))
        assert embedder
        vectors = embedder.embed(TEXTS)

    assert np.allclose(vectors, WordEmbedder().embed(TEXTS), atol=1e-6)
    assert sorted(map(len, server.inputs)) == [1, 2, 2]
    assert embedder.stamp.model == "org/words"
    assert embedder.name == "org/words@unknown"


def test_a_prefix_stands_before_each_text_and_is_part_of_the_name() -> None:
    with teacher_server(EmbeddingServer()) as server:
        embedder = embedder_of(Settings(embedder=server.url, embedder_prefix="query: "))
        assert embedder
        embedder.embed(["Eggs?"])

    assert server.inputs == [["query: Eggs?"]]
    assert embedder.name == "org/words@unknown with prefix 'query: '"


def test_the_beginning_stands_for_a_text_that_is_too_long() -> None:
    with teacher_server(EmbeddingServer()) as server:
        server.longest = 40
        embedder = embedder_of(Settings(embedder=server.url))
        assert embedder
        vectors = embedder.embed(["eggs", "eggs " * 16])

    assert vectors.shape[0] == 2
    assert np.allclose(vectors[0], vectors[1], atol=1e-6)


def test_a_chat_server_is_no_embedder() -> None:
    with teacher_server(TeacherServer()) as server:
        embedder = embedder_of(Settings(embedder=server.url))
        assert embedder
        with pytest.raises(TeacherError, match=r"SDG_EMBEDDER needs a server that serves an embed"):
            embedder.embed(["Eggs?"])


class SometimesDown(EmbeddingServer):
    """A server that is restarted."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = False

    def intercepts(self, handler: BaseHTTPRequestHandler) -> bool:
        if self.is_down:
            handler.send_error(503)
        return self.is_down


def test_an_embedder_that_was_gone_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT_SECONDS", 0.0005)
    with teacher_server(SometimesDown()) as server:
        settings = Settings(embedder=server.url)
        embedder = embedder_of(settings)
        assert embedder
        assert embedder_of(settings) is embedder
        server.is_down = True
        with pytest.raises(TeacherGoneError):
            embedder.embed(TEXTS)

        server.is_down = False
        again = embedder_of(settings)
        assert again
        assert again.embed(TEXTS).shape[0] == len(TEXTS)


@pytest.mark.parametrize(
    ("vectors", "fault"),
    [
        ([[1.0, 0.0], [1.0]], "differ in dimension"),
        ([[0.0, 0.0]], "is zero or no number"),
        ([[float("nan"), 1.0]], "is zero or no number"),
    ],
)
def test_vectors_without_a_direction_are_refused(vectors: list[list[float]], fault: str) -> None:
    with pytest.raises(TeacherError, match=f"^embedder e: .*{fault}$"):
        unit_vectors(vectors, "e")


def test_an_unknown_embedder_is_refused_in_one_sentence() -> None:
    with pytest.raises(PermanentError, match=r"^SDG_EMBEDDER=e5: neither http://…, the address"):
        embedder_of(Settings(embedder="e5"))


def test_the_password_of_an_embedders_address_is_not_shown() -> None:
    settings = Settings(embedder="http://me:secret@host:8000")

    assert settings.embedder == "http://host:8000"
    assert "secret" not in repr(settings)


def test_the_packaged_model_brings_translations_together() -> None:
    embedder = PackagedEmbedder()

    english, german, other = embedder.embed(
        ["How many eggs do 3 hens lay?", "Wie viele Eier legen 3 Hennen?", "Who wrote Hamlet?"]
    )

    assert embedder.name == f"intfloat/{PACKAGED}@sha256:1571fc982750"
    assert english @ german > 0.85 > english @ other


def test_other_weights_in_the_package_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGED_SHA256", "0" * 64)

    with pytest.raises(PermanentError, match=r"has sha256 1571fc98.*, but 0000.* is pinned"):
        PackagedEmbedder()
