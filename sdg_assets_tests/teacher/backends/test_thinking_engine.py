"""A real engine that thinks: structured output begins after the thought."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdg_assets.teacher.models import resolve
from sdg_assets.teacher.requests import Completion, Message, Request, Sampling
from sdg_assets_tests.support.requests import request_of
from sdg_assets_tests.support.thinking_model import (
    BIAS,
    CLOSE_ID,
    NAME,
    NEVER,
    ThinkingEngine,
    catalog_of,
    thinking_model,
)

BUDGET = 48
QUESTION = Message(role="user", content="Name a city, and say whether it is big.")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "big": {"type": "boolean"}},
    "required": ["city", "big"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThinkingEngine]:
    folder: Path = tmp_path_factory.mktemp("thinker")
    catalog = catalog_of(folder / "catalog", thinking_model(folder), BUDGET)
    teacher = ThinkingEngine(resolve(NAME, catalog=catalog))
    yield teacher
    teacher.stop()


def asked(engine: ThinkingEngine, mode: str, number: int = 0) -> Request:
    sampling = Sampling(temperature=0.8, max_tokens=48, thinking=mode, sample=number)
    return request_of(engine.identity, [QUESTION], sampling, SCHEMA)


def answers(engine: ThinkingEngine, mode: str, *, bias: float, count: int) -> list[Completion]:
    engine.bias = bias
    for number in range(count):
        engine.submit(asked(engine, mode, number))
    finished: list[Completion] = []
    while outcomes := engine.poll():
        finished += [o for o in outcomes if isinstance(o, Completion)]
    return finished


@pytest.mark.engine
def test_a_thought_is_free_and_the_answer_after_it_has_the_schema(engine: ThinkingEngine) -> None:
    thinking = answers(engine, "on", bias=BIAS, count=6)
    ended = [a for a in thinking if a.finish_reason != "thinking"]

    assert len(ended) >= 3, "the bias ends most thoughts"
    for answer in ended:
        assert set(json.loads(answer.text)) == {"city", "big"}
        assert "think>" not in answer.reasoning + answer.text
        assert 0 < answer.reasoning_tokens <= BUDGET + 48
    assert any(not a.reasoning.startswith("{") for a in ended), "the schema does not bind a thought"


@pytest.mark.engine
def test_a_thought_without_an_end_leaves_the_answer_its_share(engine: ThinkingEngine) -> None:
    ended = answers(engine, "on", bias=NEVER, count=3)

    for answer in ended:
        assert answer.finish_reason == "stop"
        assert set(json.loads(answer.text)) == {"city", "big"}
        assert BUDGET - 8 <= answer.reasoning_tokens <= BUDGET, "the prompt began the thought"


@pytest.mark.engine
def test_where_vllm_does_not_know_the_tags_a_thought_may_take_the_answers_share(
    engine: ThinkingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.core, "ends_thoughts", False)
    (answer,) = answers(engine, "on", bias=NEVER, count=1)

    assert (answer.finish_reason, answer.text) == ("thinking", "")
    assert answer.output_tokens == answer.reasoning_tokens == BUDGET + 48


@pytest.mark.engine
def test_without_thinking_the_schema_binds_the_first_token(engine: ThinkingEngine) -> None:
    (answer,) = answers(engine, "off", bias=0.0, count=1)

    assert set(json.loads(answer.text)) == {"city", "big"}
    assert (answer.reasoning, answer.reasoning_tokens) == ("", 0)
    prompts = {m: engine.prompt(asked(engine, m))["prompt_token_ids"] for m in ("on", "off")}
    assert CLOSE_ID in prompts["off"], "the empty thought is in the prompt"
    assert CLOSE_ID not in prompts["on"]
    assert answer.prompt_tokens == len(prompts["off"])
