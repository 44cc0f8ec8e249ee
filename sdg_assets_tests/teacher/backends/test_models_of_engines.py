"""What models that need more than a directory of weights need from the engine's side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from sdg_assets.cluster.sizing import stage_size
from sdg_assets.errors import TeacherError
from sdg_assets.records import Role, Stage
from sdg_assets.settings import settings
from sdg_assets.stages.plan import gpus_of_a_replica
from sdg_assets.teacher.backend import TeacherSpec
from sdg_assets.teacher.backends import backend_of
from sdg_assets.teacher.backends import engine as engine_module
from sdg_assets.teacher.backends.engine import BACKEND, EngineTeacher
from sdg_assets.teacher.models import ResolvedModel, card_of, teacher_cards
from sdg_assets.teacher.requests import Message
from sdg_assets.teacher.weights import hub
from sdg_assets_tests.conftest import Configure
from sdg_assets_tests.support.command import sdg

TEMPLATE = "{% for message in messages %}{{ message.content }} {% endfor %}"
OWN_CLASS = """
from transformers import PretrainedConfig

class OwnConfig(PretrainedConfig):
    model_type = "own"
"""
OWN: dict[str, Any] = {"model_type": "own", "auto_map": {"AutoConfig": "configuration.OwnConfig"}}


def model(place: Path, configuration: dict[str, Any]) -> Path:
    """A directory with a configuration, and a tokenizer of words with a chat template."""
    tokenizer = Tokenizer(WordLevel({"Why": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(place / "tokenizer.json"))
    (place / "config.json").write_text(json.dumps(configuration), "utf-8")
    of_tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE}
    (place / "tokenizer_config.json").write_text(json.dumps(of_tokenizer), "utf-8")
    (place / "configuration.py").write_text(OWN_CLASS, "utf-8")
    return place


def engine(place: Path, **overrides: Any) -> EngineTeacher:
    return EngineTeacher(ResolvedModel(str(place), card_of("org/model"), "x"), **overrides)


def test_a_model_whose_code_is_beside_its_weights_is_read_if_it_is_trusted(tmp_path: Path) -> None:
    place = model(tmp_path, {**OWN, "max_position_embeddings": 2048})

    teacher = engine(place, trust_remote_code=True)

    assert teacher.max_model_len == 2048
    assert teacher.count_tokens([Message(role="user", content="Why Why")]) == 2


def test_the_context_of_a_model_that_sees_is_that_of_its_text(tmp_path: Path) -> None:
    text = {"model_type": "gemma3_text", "max_position_embeddings": 4096}
    place = model(tmp_path, {"model_type": "gemma3", "text_config": text})

    assert engine(place).max_model_len == 4096


def test_a_context_that_no_configuration_tells_is_asked_for(tmp_path: Path) -> None:
    place = model(tmp_path, OWN)

    with pytest.raises(TeacherError, match=r"how long its context is; state it: SDG_ENGINE"):
        engine(place, trust_remote_code=True)

    assert engine(place, trust_remote_code=True, max_model_len=512).max_model_len == 512


SERVED = [n for n, card in teacher_cards().items() if "tokenizer_mode" in card.engine]


@pytest.mark.parametrize("name", SERVED)
def test_a_model_whose_prompts_only_a_server_builds_is_refused_before_it_is_downloaded(
    name: str,
) -> None:
    with pytest.raises(TeacherError, match="start `vllm serve` with it and set SDG_TEACHER"):
        BACKEND.check(TeacherSpec(name))


def test_the_gpus_of_the_settings_are_those_of_pod_and_plan(configure: Configure) -> None:
    configure(teacher="qwen3-32b", engine='{"tensor_parallel_size": 4}')
    replicas = {"tensor_parallel_size": 2, "pipeline_parallel_size": 2, "data_parallel_size": 3}

    card = BACKEND.loaded(TeacherSpec("qwen3-32b", engine=replicas))

    assert (card.gpus.tensor_parallel, card.gpus.data_parallel) == (4, 3)
    assert gpus_of_a_replica(settings()) == 4
    assert stage_size(Stage.GENERATED, settings(), cached=True).gpus == 4


@pytest.fixture
def eight_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has 8 GPUs."""
    monkeypatch.setattr(engine_module, "has_gpu", lambda: True)
    monkeypatch.setattr(engine_module, "countable_gpus", lambda: 8)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"tensor_parallel_size": 8, "data_parallel_size": 16}, 128),
        ({"data_parallel_size": 5}, 10),
        ({"pipeline_parallel_size": 5}, 10),
    ],
)
@pytest.mark.usefixtures("eight_gpus")
def test_more_gpus_than_the_machine_has_are_refused_when_settings_are_read(
    configure: Configure, arguments: dict[str, int], wanted: int
) -> None:
    configure(teacher="qwen3-32b", engine=json.dumps(arguments))
    with pytest.raises(TeacherError, match=f"needs {wanted} GPUs .*this machine has 8; lower"):
        backend_of(TeacherSpec.of(settings(), Role.WRITER))

    configure(executor="k8s")
    backend_of(TeacherSpec.of(settings(), Role.WRITER))  # the step's pods have GPUs of their own


@pytest.mark.parametrize(
    "arguments",
    [
        {"data_parallel_size": 4},
        {"tensor_parallel_size": 16, "distributed_executor_backend": "ray"},
        {"data_parallel_size": 16, "data_parallel_backend": "ray"},
        {"tensor_parallel_size": 16, "nnodes": 2},
    ],
)
@pytest.mark.usefixtures("eight_gpus")
def test_gpus_of_this_machine_or_of_several_are_accepted(arguments: dict[str, Any]) -> None:
    BACKEND.check(TeacherSpec("qwen3-32b", engine=arguments))


def test_gpus_that_nobody_can_count_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "has_gpu", lambda: True)
    monkeypatch.setattr(engine_module, "countable_gpus", lambda: None)

    BACKEND.check(TeacherSpec("qwen3-32b", engine={"data_parallel_size": 16}))


def test_a_plan_downloads_no_weights(
    tmp_path: Path, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = model(tmp_path, {"model_type": "qwen3", "max_position_embeddings": 4096})
    fetched = []

    def download_tokenizer(name: str, revision: str) -> Path:
        fetched.append(name)
        return place

    monkeypatch.setattr(hub, "cached", lambda *_: None)
    monkeypatch.setattr(hub, "look_up", lambda *_: "0" * 40)
    monkeypatch.setattr(hub, "download_tokenizer", download_tokenizer)
    configure(teacher="org/large", seed_source="samples")

    done = sdg("plan", "gsm8k")

    assert done.exit_code == 0, done.stderr
    assert fetched == ["org/large"]
