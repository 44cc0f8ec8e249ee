"""The identity of a server's model: by its own description, and by a card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sdg_assets.assets.teacher import current_identity
from sdg_assets.errors import TeacherError
from sdg_assets.records import Role
from sdg_assets.settings import settings
from sdg_assets.teacher import open_teacher
from sdg_assets.teacher.models import teacher_cards
from sdg_assets.teacher.requests import TeacherIdentity
from sdg_assets.teacher.server.served import ServedModel, identity_of_served
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.teacher_server import TeacherServer, teacher_server

QWEN = "Qwen/Qwen2.5-Coder-1.5B-Instruct"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
SNAPSHOT = f"/cache/hub/models--Qwen--Qwen2.5-Coder-1.5B-Instruct/snapshots/{COMMIT}"
CARD = {
    "model": "me/mine",
    "revision": COMMIT,
    "license": "MIT",
    "license_source": "LICENSE",
    "outputs_may_train": True,
    "terms": "none",
    "commercial_use": True,
    "certainty": "known",
}
Catalog = Callable[..., Path]


def served(name: str, root: str = "", **more: Any) -> ServedModel:
    listing = {"data": [{"id": name, "root": root or None, "max_model_len": 8192, **more}]}
    return ServedModel.of("http://gpu:8000", listing)


def identity(name: str, root: str = "", catalog: Path | None = None) -> TeacherIdentity:
    return identity_of_served(served(name, root), catalog)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A custom catalog with these cards."""

    def write(**cards: dict[str, Any]) -> Path:
        whole = {name: {**CARD, **card} for name, card in cards.items()}
        (tmp_path / "teachers.yaml").write_text(yaml.safe_dump(whole), "utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("name", "root", "model", "revision", "license_"),
    [
        (QWEN, QWEN, QWEN, "unknown", "Apache-2.0"),
        (QWEN, "", QWEN, "unknown", "Apache-2.0"),
        ("prod", QWEN, QWEN, "unknown", "Apache-2.0"),
        ("prod", SNAPSHOT, QWEN, COMMIT, "Apache-2.0"),
        ("prod", "/m/qwen2.5-coder-1.5b-cc324af070c2", QWEN, "sha256:cc324af070c2", "Apache-2.0"),
        ("prod", f"/models/{QWEN}", QWEN, "unknown", "Apache-2.0"),
        ("qwen2.5-coder-1.5b", "/models/qwen", "qwen2.5-coder-1.5b", "unknown", "unknown"),
        (QWEN, "meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct", "unknown",
         "LicenseRef-Llama-3.3"),
        ("prod", "org/fine-tune", "org/fine-tune", "unknown", "unknown"),
        ("prod", "", "prod", "unknown", "unknown"),
    ],
)  # fmt: skip
def test_rows_say_what_the_server_says(
    name: str, root: str, model: str, revision: str, license_: str
) -> None:
    stamp = identity(name, root).stamp

    assert (stamp.model, stamp.revision, stamp.license) == (model, revision, license_)


@pytest.mark.parametrize(
    ("name", "root", "card", "model"),
    [
        ("Qwen/Qwen3-32B-FP8", "Qwen/Qwen3-32B-FP8", "qwen3-32b", "Qwen/Qwen3-32B-FP8"),
        ("prod", "/models/Qwen3-32B-AWQ", "qwen3-32b", "Qwen3-32B-AWQ"),
        ("/models/Qwen3-32B-Q4_K_M.gguf", "", "qwen3-32b", "Qwen3-32B-Q4_K_M.gguf"),
        ("unsloth/gpt-oss-20b", "", "gpt-oss-20b", "unsloth/gpt-oss-20b"),
        ("zai-org/GLM-4.6", "", "glm-4.6", "zai-org/GLM-4.6"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507-FP8", "", "qwen3-30b",
         "Qwen/Qwen3-30B-A3B-Instruct-2507-FP8"),
        ("Qwen/Qwen3-30B-A3B-FP8", "", "qwen3-30b-hybrid", "Qwen/Qwen3-30B-A3B-FP8"),
    ],
)  # fmt: skip
def test_a_listed_model_in_another_packaging_is_asked_as_the_listed_one(
    name: str, root: str, card: str, model: str
) -> None:
    listed, asked = teacher_cards()[card], identity(name, root)

    assert (asked.stamp.model, asked.stamp.license) == (model, listed.license)
    assert (asked.teacher_class, asked.thinking) == (listed.teacher_class, listed.thinking)
    assert asked.sampling == listed.sampling
    assert asked.stamp.revision == "unknown"


def test_a_model_without_a_card_says_as_what_it_is_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        identity("unsloth/Qwen3-14B-GGUF")
        identity("org/never-heard-of")

    (known, unknown) = [r.getMessage() for r in caplog.records if "has no card" in r.getMessage()]
    assert "unsloth/Qwen3-14B-GGUF: has no card" in known
    assert "asked as that model, and its licence is taken for Apache-2.0, unread" in known
    assert "commercial use: unclear" in known
    assert "weights of Qwen/Qwen3-14B:" in known
    assert "org/never-heard-of: has no card" in unknown
    assert "small model that cannot think, and its licence is unknown" in unknown


def test_a_hash_of_ours_is_never_stamped_on_what_a_server_serves() -> None:
    hashes = {card.revision for card in teacher_cards().values() if card.packaged}

    assert identity(QWEN, QWEN).stamp.revision not in hashes


def test_a_revision_that_nobody_said_is_logged_with_how_to_state_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    identity("prod", QWEN)

    assert f"does not say which revision of {QWEN} it serves" in caplog.text
    assert "`served_as: [prod]`" in caplog.text


def test_a_name_that_its_weights_belie_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    identity(QWEN, "org/fine-tune")

    assert f"calls itself {QWEN} but serves org/fine-tune" in caplog.text


@pytest.mark.parametrize(
    ("card", "name", "root"),
    [
        ({"served_as": ["prod"]}, "prod", "/models/x"),
        ({"served_as": ["/models/x"]}, "prod", "/models/x"),
        ({"served_as": ["prod"]}, "prod", "me/mine"),
        ({}, "mine", "/models/x"),
    ],
)
def test_a_card_states_what_a_server_does_not_say(
    card: dict[str, Any], name: str, root: str, catalog: Catalog
) -> None:
    stamp = identity(name, root, catalog(mine=card)).stamp

    assert (stamp.model, stamp.revision, stamp.license) == ("me/mine", COMMIT, "MIT")


def test_cards_of_ones_own_give_the_licence_of_the_model_they_name(catalog: Catalog) -> None:
    stamp = identity("prod", "me/mine", catalog(mine={})).stamp

    assert (stamp.license, stamp.revision) == ("MIT", "unknown"), (
        "which one is served, it is silent"
    )


def test_a_card_without_a_pin_states_no_revision(catalog: Catalog) -> None:
    cards = catalog(mine={"served_as": ["prod"], "revision": "main"})

    assert identity("prod", "", cards).stamp.revision == "unknown"


@pytest.mark.parametrize(
    ("card", "root", "said"),
    [
        ({}, QWEN, f"says that prod is {QWEN}, its card says me/mine; correct the card mine"),
        (
            {"model": QWEN, "revision": OTHER},
            SNAPSHOT,
            f"says that prod is {QWEN} at {COMMIT}, its card says {OTHER}",
        ),
        ({"model": "/models/a"}, "/models/b", "is /models/b, its card says /models/a"),
    ],
)
def test_a_card_that_the_server_contradicts_is_one_clear_error(
    card: dict[str, Any], root: str, said: str, catalog: Catalog
) -> None:
    with pytest.raises(TeacherError, match=f"teacher http://gpu:8000: .*{said}"):
        identity("prod", root, catalog(mine={"served_as": ["prod"], **card}))


def test_two_cards_of_one_server_are_a_clear_error(catalog: Catalog) -> None:
    cards = catalog(one={"served_as": ["prod"]}, two={"served_as": ["prod"]})

    with pytest.raises(TeacherError, match=r"one and two of teachers\.yaml are both cards of prod"):
        identity("prod", "", cards)


def test_where_the_revision_is_unknown_another_path_is_another_teacher() -> None:
    one, other = identity("prod", "/models/v1"), identity("prod", "/models/v2")

    assert one.fingerprint != other.fingerprint
    assert one.stamp == other.stamp, "a path is nobody else's business"


def test_a_server_without_a_model_is_a_clear_error() -> None:
    with pytest.raises(TeacherError, match="teacher http://gpu:8000: the server lists no model"):
        ServedModel.of("http://gpu:8000", {"data": []})


@pytest.mark.parametrize("role", [Role.WRITER, Role.SOLVER])
def test_the_catalog_of_the_settings_is_the_one_whose_cards_count(
    role: Role, catalog: Catalog, configure: Configure
) -> None:
    cards = catalog(mine={"served_as": ["scripted/one"], "model": "scripted/one"})
    with teacher_server(TeacherServer()) as server:
        configure(teacher=server.url, catalog=cards)

        stamps = [open_teacher(settings(), role).identity.stamp, current_identity(role).stamp]

    assert {(s.model, s.revision, s.license) for s in stamps} == {("scripted/one", COMMIT, "MIT")}
