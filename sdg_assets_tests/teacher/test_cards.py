"""The built-in cards of teachers: each states what the pipeline needs, in words that vLLM knows."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from packaging.licenses import canonicalize_license_expression

from sdg_assets.errors import PermanentError
from sdg_assets.teacher.models import BUILT_IN, COMMIT, LISTED_KEYS, card_of, teacher_cards

CARDS = teacher_cards()
THINKING = {name: card.thinking for name, card in CARDS.items() if card.thinking}
ROOM = 4096
"""Tokens that a context has beside the thought: for the prompt and the answer."""
MAKERS = (
    "Qwen", "openai", "deepseek-ai", "zai-org", "moonshotai", "MiniMaxAI", "nvidia", "mistralai",
    "google", "microsoft", "meta-llama",
)  # fmt: skip


@cache
def entries() -> dict[str, dict[str, Any]]:
    """The cards as YAML gives them."""
    return dict(yaml.safe_load(BUILT_IN.read_text("utf-8")))


def test_each_maker_of_open_teachers_has_several_cards() -> None:
    makers = [card.model.split("/")[0] for card in CARDS.values()]
    assert {maker: makers.count(maker) for maker in MAKERS if makers.count(maker) < 2} == {}


def test_each_model_has_one_card() -> None:
    models = [card.model for card in CARDS.values()]
    assert len(set(models)) == len(models)


def test_each_card_states_class_size_and_licence() -> None:
    for name, card in CARDS.items():
        assert "class" in entries()[name], name
        assert card.parameters != "unknown", name
        assert card.memory_gib, name
        assert card.license_source.startswith("https://"), name
        assert canonicalize_license_expression(card.license) == card.license


def test_each_card_pins_a_commit_or_nothing() -> None:
    # Verifiers run behind servers only, whose own report of the revision counts.
    cards = {n: card for n, card in CARDS.items() if not card.packaged and not card.verifier}
    pins = {name: card.revision for name, card in cards.items()}
    assert {pin for pin in pins.values() if not COMMIT.fullmatch(pin)} == {"main"}
    assert sum(pin != "main" for pin in pins.values()) > len(pins) / 2


def test_the_class_says_whether_the_model_thinks_unasked() -> None:
    unasked = {name for name, thinking in THINKING.items() if thinking.default == "on"}
    assert {name for name, card in CARDS.items() if card.teacher_class == "thinking"} == unasked


def test_sampling_is_recommended_only_for_modes_that_the_model_has() -> None:
    for name, card in CARDS.items():
        advice = card.sampling.model_dump(exclude_none=True)
        assert name in THINKING or not advice["thinking"], name
        can_answer_at_once = name not in THINKING or "off" in THINKING[name].modes
        assert can_answer_at_once or not advice["answering"], name


def test_only_stated_facts_are_verified() -> None:
    for name, card in CARDS.items():
        stated = {"memory" if fact == "memory_gib" else fact for fact in entries()[name]}
        assert set(card.verified) <= stated, name


def test_one_licence_permits_the_same_for_every_model() -> None:
    permitted: dict[str, set[tuple[str, str]]] = {}
    for card in CARDS.values():
        rights = (card.outputs_may_train, card.commercial_use)
        permitted.setdefault(card.license, set()).add(rights)
    assert {licence: rights for licence, rights in permitted.items() if len(rights) > 1} == {}
    assert permitted["Apache-2.0"] == permitted["MIT"] == {("yes", "yes")}


def test_the_context_has_room_beside_the_thought() -> None:
    for name, thinking in THINKING.items():
        most = max([thinking.max_tokens, *thinking.budgets.values()])
        assert CARDS[name].engine["max_model_len"] >= most + ROOM, name


def test_vllm_has_the_methods_of_every_drafting_model() -> None:
    from vllm.config.speculative import EagleModelTypes

    drafts = {name: draft for name, card in CARDS.items() for draft in card.drafts}
    assert drafts
    for name, draft in drafts.items():
        assert draft.keys() == {"method", "model", "num_speculative_tokens"}, name
        assert draft["method"] in get_args(EagleModelTypes), name


def test_each_mode_of_a_switchable_model_asks_for_something_else() -> None:
    for name, thinking in THINKING.items():
        modes = [mode for mode in thinking.modes if mode != thinking.default]
        asked = [thinking.instruction(mode) for mode in modes]
        assert all(instruction.template or instruction.system for instruction in asked), name
        assert all(asked.count(instruction) == 1 for instruction in asked), name


def test_every_parser_of_thoughts_is_one_that_vllm_has() -> None:
    from vllm.reasoning import ReasoningParserManager

    registered = ReasoningParserManager.list_registered()
    wrong = {name: part.parser for name, part in THINKING.items() if part.parser not in registered}
    assert wrong == {}


def test_every_engine_argument_is_one_that_vllm_has() -> None:
    from vllm.engine.arg_utils import EngineArgs
    from vllm.tokenizers.registry import TokenizerRegistry

    arguments = {field.name for field in dataclasses.fields(EngineArgs)}
    wrong = {name: set(card.engine) - arguments for name, card in CARDS.items()}
    assert {name: unknown for name, unknown in wrong.items() if unknown} == {}
    modes = {card.engine.get("tokenizer_mode", "hf") for card in CARDS.values()}
    assert modes <= set(TokenizerRegistry.tokenizers)


@pytest.mark.parametrize(
    ("name", "listed"),
    [("qwen3_32b", "qwen3-32b"), ("deepseekv3", "deepseek-v3"), ("", "qwen2.5-coder-1.5b")],
)
def test_an_unknown_teacher_is_told_the_nearest_keys(name: str, listed: str) -> None:
    with pytest.raises(PermanentError, match="`sdg teacher list` prints all") as error:
        card_of(name)
    keys = str(error.value).split(" nor one of ")[1].split(", …")[0].split(", ")
    assert listed in keys
    assert len(keys) <= LISTED_KEYS
    assert set(keys) <= set(CARDS)


def test_an_own_catalog_of_few_teachers_is_told_whole(tmp_path: Path) -> None:
    few = {name: entries()[name] for name in ("phi-4", "gpt-oss-20b")}
    (tmp_path / "teachers.yaml").write_text(yaml.safe_dump(few))
    with pytest.raises(PermanentError, match=r"nor one of gpt-oss-20b, phi-4$"):
        card_of("phi5", tmp_path)
